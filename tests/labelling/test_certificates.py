"""What a certificate says of labels of unknown origin; its files after a restore."""

import secrets
import shutil

import pytest
from finish_helpers import CLASSES, FrozenLoop, add_pictures, answer_all, project

from alutils.labelling.finish import certificates, records, verify
from alutils.labelling.finish.project import Finish
from alutils.labelling.store import places, restore
from alutils.labelling.store.backups import all_backups
from alutils.labelling.store.records import Filter
from alutils.labelling.store.store import Store


@pytest.fixture(autouse=True)
def same_draws(monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda n: f"{1:0{2 * n}x}")


def certified(store, truth, target=0.9, name="m"):
    finish = Finish(store, FrozenLoop(store, truth, set(), name))
    finish.plan(target, by_hand=5, person="ann")
    answer_all(finish, truth)
    assert finish.state().phase == "certified"
    return finish


def test_labels_that_only_class_folders_kept_are_told_in_the_certificate(tmp_path):
    store, _, truth = project(tmp_path, n_wrong=0)
    with store:
        # 30 by a person; 20 more that a model filed, which nobody certified.
        free = store.reader.page(Filter(source="none"), limit=20).items
        for item in free:
            store.models.auto_label_single("ann", item.id, 0.0)
        by_hash = {store.reader.item(i).sha256: label for i, label in truth.items()}
    for path in (tmp_path / "labelling").glob("labels.sqlite*"):
        path.unlink()
    shutil.rmtree(tmp_path / "labelling" / "backups", ignore_errors=True)
    with Store.open(tmp_path, CLASSES, seed=0, twice=0, random_rate=0) as store:
        add_pictures(store, range(240))
        store.reconcile()
        rows = store.database.connection.execute("SELECT id, sha256 FROM items").fetchall()
        truth = {row["id"]: by_hash[row["sha256"]] for row in rows}
        finish = certified(store, truth)
        found = finish.certificate()
        assert found["counts"]["before"] == found["counts"]["read_back"] == 50
        (told,) = [line for line in found["text"] if "read back" in line]
        assert told.startswith("50 of the labels from before") and "a model" in told
        assert "read back from class folders" in certificates.as_page(found)
        assert verify.verify(found, store).holds

        # Who looks at such a label and gives it anew has said it.
        for item in store.plans.before(1)[:3].tolist():
            for label in (truth[item] + 1, truth[item]):
                store.queue.relabel("bob", [item], CLASSES[label % 3])
        now = records.labels_at(store.database.connection, 2**62)
        assert sum(each.is_read_back for each in now.values()) == 47


def test_one_missing_file_in_place_of_another_does_not_end_an_attempt(tmp_path):
    store, loop, truth = project(tmp_path)

    def hide(item):
        path = store.files.picture(store.reader.item(item).sha256)
        content = path.read_bytes()
        path.unlink()
        for link in store.files.classes.rglob(f"*-{item}.png"):
            link.unlink()
        return lambda: path.write_bytes(content)

    with store:
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=5, person="ann")
        by_hand = set(store.plans.items(1)[store.plans.said(1)[1]].tolist())
        audited = []
        while store.plans.look(store.plans.open()).least > 1:
            (item,) = finish.next("ann", 1)
            finish.answer("ann", item.id, CLASSES[truth[item.id]])
            audited += [item.id] if item.id not in by_hand else []
        wanted = store.plans.look(store.plans.open()).wanted
        free = store.reader.page(Filter(source="none"), limit=300).items
        back = hide(next(item.id for item in free if item.id not in wanted))
        store.reconcile(check_content=True)
        (item,) = store.queue.hand_out("ann", 1)
        store.queue.label("ann", item.id, CLASSES[truth[item.id]])
        assert store.plans.look(store.plans.open()).decision == "certified"
        back()
        answered_back = hide(audited[0])  # as many are missing as before, but another one
        finish.settle()
        assert finish.state().phase == "asking"
        answered_back()
        store.reconcile(check_content=True)
        finish.settle()
        assert finish.state().phase == "certified"


def test_a_restore_puts_the_certificates_aside_that_the_backup_does_not_know(tmp_path):
    store, _, truth = project(tmp_path, n_wrong=0)
    with store:
        store.database.back_up("test")
        certified(store, truth)
        kept = certificates.path(store, 1).read_bytes()
    place = places.find(tmp_path)
    (backup,) = [each for each in all_backups(place.root) if each.why == "test"]
    restore.restore(place, backup)
    assert not (place.root / "certificates").exists()
    (aside,) = place.root.glob("replaced/*/certificates/1.json")
    assert aside.read_bytes() == kept
    with Store.open(tmp_path) as store:
        assert not certificates.path(store, 1).exists()


def test_a_file_of_another_certificate_gives_way_and_is_kept(tmp_path):
    store, _, truth = project(tmp_path, n_wrong=0)
    with store:
        certified(store, truth)
        path, page = certificates.path(store, 1), certificates.path(store, 1, "html")
        right = path.read_bytes(), page.read_bytes()
        path.write_text('{"format": 1, "digest": "of another time"}')
        page.write_text("At least 99.9% are right")
        Finish(store).settle()
        assert (path.read_bytes(), page.read_bytes()) == right
        aside = store.files.root / "replaced" / "certificates"
        assert sorted(each.name for each in aside.iterdir()) == ["1.html", "1.json"]
        assert (aside / "1.html").read_text() == "At least 99.9% are right"
