"""The report: its letters, its loop with and without the fault, and its worries.

`splits` draws what its settings take, `loops` runs them, `seven_steps` goes to the end. `study`
holds what all experiments share; the modules that draw say what was found.
"""

from alutils.base import lazy

_HOMES = {
    "answers": "answer answer_explore",
    "clusters": "clusters_by_class maps neighbours tsne",
    "imbalance": "dots metrics price train_uneven",
    "letters": "Letters drawn load_letters see",
    "looking": "check_maps class_sizes count_classes first_rows samples undersampling",
    "loop_findings": "against_published differences every_round loop_curves moved on_test_letters"
    " run_loops",
    "mistakes": "confused_pairs confusion_matrix per_class",
    "procedure": "follow_steps step_by_step whole_procedure",
    "publication": "counted_share epoch_log published_counts same_moves",
    "saving": "letters_to_label save_best save_model saved_best saved_model",
    "splits": "VOCABULARY",
    "study": "First Study first_round letters_used",
    "worries": "best_classifier compare_classifiers corruption spoilt two_tables wrong_labels",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
