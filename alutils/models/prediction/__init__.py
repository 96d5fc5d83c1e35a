"""A folder of pictures labelled by a saved model, without a browser: `label_pictures`.

`conversion` holds pictures against what the model has seen, `table` is the file of labels that goes
on where it was stopped, `copies` are the class folders, and `run` does the work.
"""

AS_THEY_ARE = "as-they-are"
CONVERSIONS = {
    "grey": "make colour pictures grey",
    "stretch": "spread the levels over those of the model's pictures (0 and 1 become 0 and 255)",
    "stretch-where-needed": "do so with those that have few levels, each from its own",
    "invert": "turn every picture into its negative",
    "invert-where-needed": "turn those into their negative whose background is not the model's",
    AS_THEY_ARE: "let the model read what it has not seen",
}
"""What can be done with pictures that a model has not seen the like of, in the order it is done."""
