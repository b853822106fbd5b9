"""Methods that frameworks call on objects of a project's classes, and the grad mode in which they do.

What names a release has been read in its source.
"""

import re
import sys
from collections.abc import Set

# Lightning 2.4: ``loops/evaluation_loop.py`` and ``prediction_loop.py`` are decorated with ``_no_grad_context``.
EVALUATION_HOOKS = frozenset(
    f"{prefix}{stage}_{suffix}"
    for stage in ("validation", "val", "test", "predict")
    for prefix, suffix in (
        ("", "step"), ("", "step_end"), ("", "epoch_end"), ("on_", "epoch_start"), ("on_", "epoch_end"),
        ("on_", "batch_start"), ("on_", "batch_end"), ("on_", "start"), ("on_", "end"), ("on_", "model_eval"),
    )
)  # fmt: skip
# mmdet and mmseg before MMEngine: ``single_gpu_test`` and ``inference_*`` of their ``apis`` are under ``no_grad``.
_OPENMMLAB = frozenset(
    (
        "simple_test aug_test forward_test simple_test_bboxes simple_test_mask simple_test_rpn simple_test_pts "
        "simple_test_img aug_test_bboxes aug_test_pts aug_test_img inference whole_inference slide_inference predict"
    ).split()
)
_OPENMMLAB_BASES = (
    "BaseSegmentor BaseDetector Base3DDetector BaseRecognizer BaseClassifier EncoderDecoder SingleStageDetector "
    "TwoStageDetector BaseDecodeHead BaseDenseHead BaseRoIHead BaseMaskHead BaseHead"
).split()
# fastai 2.8: ``Learner._do_epoch_validate``; composer 0.32: ``Trainer._eval_loop`` and ``predict``.
_CALLBACKS = frozenset(
    (
        "before_validate after_validate "
        "eval_start eval_batch_start eval_before_forward eval_after_forward eval_batch_end eval_end "
        "predict_start predict_batch_start predict_before_forward predict_after_forward predict_batch_end predict_end"
    ).split()
)
# By the name of a base class, or by the package that it comes from.
_GUARDED: dict[str, frozenset[str]] = {
    **dict.fromkeys(_OPENMMLAB_BASES, _OPENMMLAB),
    # Whatever derives from a class of these packages is one of their detectors, heads or classifiers.
    **dict.fromkeys("mmdet mmdet3d mmseg mmcls mmpretrain mmpose mmaction mmocr mmrotate".split(), _OPENMMLAB),
    "Callback": EVALUATION_HOOKS | _CALLBACKS,
    "BasePredictionWriter": frozenset({"write_on_batch_end", "write_on_epoch_end"}),
    # transformers 4.57: ``generate`` is decorated with ``no_grad``; ``Pipeline.forward`` enters it.
    "GenerationMixin": frozenset(
        "_sample _beam_search _assisted_decoding _contrastive_search _group_beam_search _greedy_search".split()
    ),
    **dict.fromkeys(("Pipeline", "ChunkPipeline"), frozenset({"_forward"})),
    # MMEngine 0.10: ``ValLoop.run_iter`` and ``TestLoop.run_iter``.
    "BaseModel": frozenset({"val_step", "test_step"}),
    "BaseMetric": frozenset({"process"}),
    "Hook": frozenset({"before_val_iter", "after_val_iter", "before_test_iter", "after_test_iter"}),
    # fairseq 0.12: ``Trainer.valid_step``.
    "FairseqTask": frozenset({"valid_step"}),
    # speechbrain 1.1: ``Brain._fit_valid`` and ``Brain.evaluate``.
    "Brain": frozenset({"evaluate_batch"}),
    # composer 0.32: ``Trainer._eval_loop``.
    **dict.fromkeys(("ComposerModel", "HuggingFaceModel"), frozenset({"eval_forward", "update_metric"})),
    # stable-baselines3 2.9: ``BasePolicy.predict``.
    **dict.fromkeys(("BasePolicy", "ActorCriticPolicy", "ActorCriticCnnPolicy"), frozenset({"_predict"})),
    # d3rlpy 2.8: ``QLearningAlgoBase.predict``, ``predict_value`` and ``sample_action``.
    "QLearningAlgoImplBase": frozenset({"inner_predict_best_action", "inner_predict_value", "inner_sample_action"}),
}
_GUARDED_LIKE: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"Lightning\w*$"), EVALUATION_HOOKS),
    # ultralytics 8.4: ``BaseValidator.__call__`` and ``BasePredictor.stream_inference`` are in inference mode.
    (
        re.compile(r"^ultralytics\.(\w+\.)*\w*Validator$"),
        frozenset("preprocess postprocess init_metrics update_metrics finalize_metrics get_stats eval_json".split()),
    ),
    (re.compile(r"^ultralytics\.(\w+\.)*\w*Predictor$"), frozenset("preprocess inference postprocess".split())),
    # detectron2 of June 2026: ``inference_on_dataset``, which calls ``evaluate`` outside.
    (re.compile(r"^detectron2\.(\w+\.)*\w*Evaluator$"), frozenset({"process"})),
    # catalyst 22.4: ``Runner.predict_loader``.
    (re.compile(r"^catalyst\.(\w+\.)*\w*Runner$"), frozenset({"predict_batch"})),
    # recbole 1.2: ``Trainer.evaluate``.
    (re.compile(r"^recbole\.(\w+\.)*\w*Recommender$"), frozenset({"predict", "full_sort_predict"})),
    # ``torch.autograd.Function``: C++ runs these with grad mode off; ``backward`` with it on where ``create_graph``
    # asks it to. ``jvp`` runs as it is called.
    (
        re.compile(r"^(torch|\?)\.(\w+\.)*(Inplace)?Function$"),
        frozenset({"forward", "setup_context", "backward", "vjp"}),
    ),
)
_NAMES = frozenset().union(*_GUARDED.values(), *(hooks for _, hooks in _GUARDED_LIKE))

# Methods on whose result the framework runs ``backward()``: base class name -> method names.
# Lightning: ``loops/optimization/automatic.py``; transformers: ``Trainer.training_step``, which calls ``compute_loss``.
WALKED_HOOKS: dict[str, frozenset[str]] = {
    "LightningModule": frozenset({"training_step"}),
    "Trainer": frozenset({"compute_loss"}),
    "Seq2SeqTrainer": frozenset({"compute_loss"}),
}


def may_be_guarded(method: str) -> bool:
    """Whether there is a framework that calls a method so named under a guard of its own."""
    return method in _NAMES


def guarded_by(base: str) -> Set[str]:
    """The methods that are called with grad mode off, on objects of what derives from a class of that full name."""
    package, last = base.partition(".")[0], base.rpartition(".")[2]
    found = _GUARDED.get(last) or _GUARDED.get(package)
    return found or next((hooks for like, hooks in _GUARDED_LIKE if like.search(base)), frozenset())


def is_of_framework(base: str) -> bool:
    """Whether a class outside the project may be a framework's: its loops call the methods of what derives from it."""
    package = base.partition(".")[0]
    return package != "torch" and package not in sys.stdlib_module_names
