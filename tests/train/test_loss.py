"""What is punished and what is not: wrong classes are, an unknown tree and unsure voxels are not, nor the lack of a clot."""

import pytest
import torch

from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS, VEIN_CLASS
from lvo.train.loss import vessel_loss
from lvo.train.tubes import ANY_ARTERY

SHAPE = (2, 6, 7, 8)


def answer(classes, sure=8.0):
    """Logits of a network that is sure of these classes."""
    one_hot = torch.nn.functional.one_hot(classes.long(), len(VESSEL_CLASSES))
    return sure * torch.movedim(one_hot, -1, 1).float()


def everywhere(code):
    return torch.full(SHAPE, code, dtype=torch.uint8)


EVERY_CLASS = tuple(range(len(VESSEL_CLASSES)))


def drawn(codes=EVERY_CLASS):
    """Voxels of all these classes, at random."""
    chosen = torch.randint(len(codes), SHAPE, generator=torch.Generator().manual_seed(0))
    return torch.tensor(codes, dtype=torch.uint8)[chosen]


def test_the_truth_costs_next_to_nothing_and_a_wrong_class_costs_a_lot():
    truth = drawn()
    right = float(vessel_loss(answer(truth), truth))
    assert right < 0.02
    for code in range(len(VESSEL_CLASSES)):
        wrong = truth.clone()
        wrong[truth == code] = (code + 1) % len(VESSEL_CLASSES)
        assert float(vessel_loss(answer(wrong), truth)) > right + 0.2


@pytest.mark.parametrize("tree", ARTERY_TREES)
def test_where_the_tree_is_not_known_any_tree_is_right(tree):
    """The loss is the same whichever tree is said, or if all are said by halves; a vein is wrong."""
    truth = drawn((0, ANY_ARTERY))
    here = truth == ANY_ARTERY

    def say(code):
        return answer(torch.where(here, torch.tensor(code, dtype=torch.uint8), torch.tensor(0, dtype=torch.uint8)))

    said = say(VESSEL_CLASSES.index(tree))
    assert float(vessel_loss(said, truth)) < 0.02
    halves = torch.where(here[:, None], torch.logaddexp(said, say(1)), said)
    assert float(vessel_loss(halves, truth)) == pytest.approx(float(vessel_loss(said, truth)), abs=0.02)
    assert float(vessel_loss(say(VEIN_CLASS), truth)) > 2.0


def test_unsure_voxels_count_nowhere():
    """Whatever is said there: the loss is the same bit for bit, and no gradient comes from there."""
    truth = drawn((*EVERY_CLASS, ANY_ARTERY))
    unsure = torch.zeros(SHAPE, dtype=torch.bool)
    unsure[:, 2:4] = True
    truth[unsure] = UNSURE_CLASS
    one = torch.randn((2, len(VESSEL_CLASSES), *SHAPE[1:]), generator=torch.Generator().manual_seed(1))
    other = torch.where(unsure[:, None], answer(everywhere(CLOT_CLASS)), one)
    assert float(vessel_loss(one, truth)) == float(vessel_loss(other, truth))
    one.requires_grad_()
    vessel_loss(one, truth).backward()
    there = torch.broadcast_to(unsure[:, None], one.shape)
    assert float(one.grad[there].abs().max()) == 0.0
    assert float(one.grad[~there].abs().min()) > 0.0


def test_a_batch_that_is_all_unsure_costs_nothing_and_does_not_break():
    logits = torch.zeros((2, len(VESSEL_CLASSES), *SHAPE[1:]), requires_grad=True)
    loss = vessel_loss(logits, everywhere(UNSURE_CLASS))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(logits.grad.abs().max()) == 0.0


def test_a_batch_without_a_clot_does_not_punish():
    """Nothing is lost for want of a clot, and one wrong voxel of clot costs hardly more than its cross-entropy."""
    truth = everywhere(0)
    assert float(vessel_loss(answer(truth, 20.0), truth)) < 1e-3
    one_wrong = truth.clone()
    one_wrong[0, 3, 3, 3] = CLOT_CLASS
    entropy = 20.0 / truth.numel()
    assert float(vessel_loss(answer(one_wrong, 20.0), truth)) == pytest.approx(entropy, abs=0.006)


def test_a_missed_clot_costs_more_than_a_missed_vein_of_the_same_size():
    truth = everywhere(0)
    truth[0, 1:3, 2:4, 2:4], truth[1, 1:3, 2:4, 2:4] = VEIN_CLASS, CLOT_CLASS
    missed = {}
    for code in (VEIN_CLASS, CLOT_CLASS):
        said = torch.where(truth == code, torch.zeros_like(truth), truth)
        missed[code] = float(vessel_loss(answer(said), truth))
    assert missed[CLOT_CLASS] > 1.5 * missed[VEIN_CLASS] > 0.5


def test_the_background_does_not_drown_the_vessels():
    """A hundred times as much background leaves the price of a wrong tree as it was."""
    prices = []
    for n in (8, 40):
        truth = torch.zeros((1, n, n, n), dtype=torch.uint8)
        truth[0, 2:6, 2:6, 2:6] = 1
        wrong = torch.where(truth == 1, torch.tensor(2, dtype=torch.uint8), truth)
        prices.append(float(vessel_loss(answer(wrong), truth)))
    assert prices[1] == pytest.approx(prices[0], rel=0.1)
    assert prices[0] > 2.0
