"""Names that tell what code is for: tables, not code. Hints, weighed in :mod:`gradlint.project.questions.inference`."""

import re

# A function that evaluates, predicts or samples.
INFERENCE_FUNCTION = re.compile(
    r"^_*(run_|do_|get_|compute_|calc_|count_|make_|batch_|model_|on_)?"
    r"(eval\w*|evaluation|valid|validate\w*|validation\w*|val|test|predict\w*|prediction\w*|infer|inference\w*|sample\w*"
    r"|sampling|generate\w*|generation|demo|extract\w*|encode_\w+|embed|embeddings?|features?|score|benchmark\w*"
    r"|rollout\w*|act|actions?|select_action|choose_action|play|detect\w*|translate\w*|transcribe\w*|caption\w*|classify\w*"
    r"|recogni[sz]e\w*|summari[sz]e\w*|synthesi[sz]e\w*|reconstruct\w*|interpolat\w*|visuali[sz]e\w*|render\w*"
    r"|accuracy|metrics?|fid|predictions?|logits|answer\w*|chat|respond|reply|decode\w*|search|process_(image|video|frame|file)"
    r"|denoise\w*|p_sample\w*|ddim\w*|plot\w*|save_(image|sample|result|prediction)s?|show\w*|forecast\w*|rank\w*|retriev\w*"
    r"|stylize|transform_image|upscale|enhance|segment\w*|collect\w*|verif\w*|(nb_|num_|n_)?(errors?|correct))(_|$)"
    r"|_(eval|evaluate|evaluation|valid|validate|validation|val|test|predict|predictions?|infer|inference|sample|samples|generate"
    r"|accuracy|metrics|embeddings?|features|actions?|rollouts?|demo)$"
    r"|^(validation|test|predict|val|valid|eval)_(step|epoch|loop|one_epoch|model|fn|batch)",
)
# A class whose objects are called to do so.
INFERENCE_CLASS = re.compile(
    r"(Predictor|Inference|Inferencer|Pipeline|Sampler|Generator|Detector|Recogni[sz]er|Extractor|Segment[eo]r|Evaluator"
    r"|Annotator|Captioner|Transcriber|Translator|Synthesi[sz]er|Embedder|Classifier|Upscaler|Enhancer|Denoiser)$"
)
# A file or folder that does.
INFERENCE_FILE = re.compile(
    r"(^|/)(\w*_)?(eval|evaluate|evaluation|evaluator|valid|validate|val|test|predict|prediction|predictor|infer|inference|sample|sampler"
    r"|sampling|generate|demo|app|server|serve|service|api|extract\w*|detect|translate|benchmark|play|enjoy|visuali[sz]e\w*|handler"
    r"|embed\w*|recogni[sz]e|synthesi[sz]e|deploy|webcam|interactive|classify|caption|chat|bot|gradio\w*|streamlit\w*|export)(_\w*)?\.py$"
)
# A function that trains, or works on gradients: what it makes is meant to carry a graph.
TRAINING_FUNCTION = re.compile(
    r"(^|_)(train\w*|fit|optimi[sz]\w*|finetune\w*|fine_tune|backward|loss(es)?|update\w*|learn\w*|adapt\w*|meta_\w+|inner_\w+"
    r"|attack\w*|adversar\w*|perturb\w*|fgsm|pgd|saliency|attribut\w*|grad\w*|grad_?cam|cam|gradients?|penalt\w*|forces?|invert|inversion"
    r"|jacobian|hessian|energy|closure|distill\w*|pretrain\w*|integrated_gradients|explain\w*|deep_?dream|style_transfer|gp"
    r"|test_time\w*|tta_train|criterion)(_|$)",
    re.I,
)
GRADIENT_FILE = re.compile(
    r"attack|adversar|saliency|grad_?cam|gradcam|attribution|explain|interpret|fgsm|pgd|maml|meta_?learn|deep_?dream|inversion|influence"
)
# A loop over data that is not trained on: no `device`, and no `values`. What is predicted is data only if it is loaded.
_DATA = (
    r"(loader|dataloader|dl|data|set|dataset|iter|iterator|gen|generator|batch|batches|ds|x|images?|imgs?|samples?"
    r"|queue)\w*"
)
EVALUATION_DATA = re.compile(
    r"(^|_|\.)((val|valid|validation|test|testing|eval|evaluation|dev|query|gallery|inference|holdout)"
    rf"(s|\d*|_\w*|{_DATA})|pred(ict)?_?(loader|dataloader|dl|set|dataset|iter|iterator|batches)\w*)$"
)
# Decorators that make a function answer requests.
SERVICE_DECORATOR = re.compile(
    r"\.(route|get|post|put|websocket|api_route|on|task|event|message_handler|callback)$|^(spaces\.GPU|st\.cache\w*)$"
    r"|(bot|client|tree)\.command$"
)
# Files in which torch is not what a model is made of.
OTHER_FRAMEWORKS = frozenset(
    (
        "tensorflow keras jax flax paddle mxnet mindspore tflearn onnxruntime haiku caffe2 mlx chainer MNN oneflow "
        "megengine openvino tensorrt"
    ).split()
)
# What makes models that are none of torch's: OpenCV's networks, sessions of ONNX, engines of TensorRT, OpenVINO.
OTHER_MODELS = re.compile(r"^(readNet(From\w+)?|InferenceSession|deserialize_cuda_engine|compile_model)$")
TORCH_PACKAGES = frozenset(
    (
        "torch torchvision torchaudio torchtext pytorch_lightning lightning timm transformers diffusers "
        "torch_geometric monai segmentation_models_pytorch fairseq mmcv mmdet mmseg mmengine detectron2 "
        "kornia ignite fastai open_clip clip allennlp stable_baselines3 sentence_transformers speechbrain "
        "espnet catalyst accelerate einops dgl flair ultralytics"
    ).split()
)
# What these packages give to those who work with another framework: its models, and what knows words and images only.
NEUTRAL_IMPORT = re.compile(r"^einops(\.|$)|\.(Flax|TF)[A-Z]\w*$|(Tokenizer(Fast)?|Processor|FeatureExtractor|Config)$")
# Methods that only tensors and modules of torch have: a file that uses them needs no import of torch to be about it.
TORCH_WORDS = frozenset(
    (
        "backward detach no_grad cuda state_dict load_state_dict zero_grad requires_grad argmax softmax unsqueeze item"
    ).split()
)
TEST_FOLDER = re.compile(r"(^|/)(tests?|testing)/")
TEST_FILE = re.compile(TEST_FOLDER.pattern + r"|(^|/)(test_\w+|\w+_test|tests|conftest)\.py$")
TEST_FUNCTION = re.compile(r"^_*(test_|test[A-Z])")
TEST_CASE = re.compile(r"TestCase\w*$")  # classes of tests, and of what tests share
