"""What calls do to tensors, modules and their graphs: tables, not code.

Source for every row: torch 2.13, executed; see the truth table in the design notes. Names are method names
unless they are dotted.
"""

import re

# What puts values into containers.
CONTAINER_METHODS = frozenset("append extend add put insert appendleft push update setdefault".split())
# The result is a python value, an index or a boolean: no graph goes on from here.
READING_METHODS = frozenset(
    (
        "item tolist argmax argmin argsort size dim numel nonzero eq ne gt lt ge le greater less equal isnan "
        "isinf isfinite any all bool long int byte short char bincount ndimension nelement element_size "
        "stride is_floating_point is_contiguous data_ptr get_device multinomial searchsorted bucketize "
        "count_nonzero sign"
    ).split()
)
# Looks at a tensor, or at whether it is one, but not at its values.
LOOKING = frozenset(
    (
        "shape size dtype device len dim ndim ndimension numel nelement element_size stride layout type isinstance is "
        "not bool in == != hasattr callable requires_grad grad_fn is_leaf is_cuda is_contiguous is_floating_point "
        "get_device data_ptr torch.is_tensor torch.zeros_like torch.ones_like torch.full_like torch.empty_like "
        "torch.rand_like torch.randn_like torch.numel"
    ).split()
) | {"is not", "not in"}
INTEGER_TYPES = frozenset(
    f"torch.{name}" for name in ("uint8", "int8", "int16", "int32", "int64", "short", "int", "long", "bool")
)
# The result is a tensor or array without a graph.
DETACHING_METHODS = frozenset(["detach", "detach_", "numpy", "__array__"])
READING_ATTRIBUTES = frozenset(
    ("shape dtype device ndim is_cuda layout requires_grad grad_fn is_leaf names itemsize nbytes is_sparse").split()
)
# Same values in another place or type: the tensor itself as far as graphs go.
CONVERTING_METHODS = frozenset(
    (
        "cpu cuda to float double half bfloat16 type contiguous clone view reshape flatten squeeze unsqueeze "
        "permute transpose t expand repeat type_as mean sum softmax log_softmax sigmoid exp log sqrt abs pow "
        "clamp"
    ).split()
)
# (values, indices)
VALUES_AND_INDICES = frozenset(("max min topk sort kthvalue median mode cummax cummin").split())
ALWAYS_BOTH = frozenset({"sort", "mode"})  # also where no dimension is named

READING_FUNCTIONS = re.compile(
    r"^(builtins\.(print|len|int|float|bool|str|repr|isinstance|type|range|round|format|hash|id|hasattr|callable)"
    r"|torch\.(argmax|argmin|argsort|nonzero|numel|is_tensor|isnan|isinf|isfinite|eq|ne|gt|lt|ge|le|equal|allclose"
    r"|save|bincount|unique|multinomial|isclose|any|all|onnx\..*|cuda\..*|distributed\..*|backends\..*|profiler\..*"
    r"|testing\..*|jit\.save|jit\.trace|export.*|sign|bernoulli)"
    r"|(numpy|math|matplotlib|cv2|PIL|sklearn|scipy|pandas|json|pickle|wandb|logging|csv|seaborn|plotly|skimage"
    r"|imageio|soundfile|librosa|nltk|sacrebleu|rouge_score|evaluate|time|os|sys|pathlib|warnings|random|re|io|copy"
    r"|streamlit|gradio|jiwer|pycocotools|seqeval|mlflow|h5py|tabulate)\.(?!deepcopy).*"
    r"|torchvision\.(utils|ops\.(nms|batched_nms|box_iou)|transforms\.(functional\.)?(to_pil_image|ToPILImage))(\..*)?"
    r"|torchaudio\.save|torchmetrics\..*)$"
)
# A function or method of unknown origin whose name says that it only looks: metrics, logging, drawing, decoding.
READING_NAMES = re.compile(
    # verbs that end a value's way, alone or with an object
    r"^(print|log(?!_?(prob|soft|sig|lik|sum|det|add|mel|spec|var|std|pi|its?$|p$))|logger|logging|info|debug|warning|write"
    r"|save|dump|plot|show|imshow|imsave|imwrite|draw|visuali[sz]e|vis|display|jsonify|assert|check|report|summari[sz]e_run"
    r"|batch_decode|tensor2\w+|tensor_to_(image|img|np|numpy|pil)|to_(pil|image|numpy|np|list|json|string)|postprocess|post_process"
    r"|add_(scalars?|images?|text|histogram|audio|video|figure))(?=$|_|[A-Z0-9])"
    # nouns that are numbers about a result
    r"|^(calc|calculate|compute|get|eval|evaluate|measure|update|batch)?_?(acc|accuracy|auc|auroc|f1|iou|miou|psnr|ssim|metrics?|bleu|rouge|wer|cer"
    r"|ap|map|confusion(_matrix)?|precision|recall|topk|hits|mrr|ndcg|average_precision|eer|fid|rmse|mape|dice_score)(_?(score|at_k|fn|func|k|numpy))?$"
    r"|^(decode|evaluate|evaluator|summary|hist|histogram|nms|non_max_suppression|as_numpy|numpy|stringify|convert_to_roc|argmax)$"
    r"|(?<![a-z])(accuracy|psnr|ssim|miou|iou|auc|bleu|rouge|wer|cer|to_numpy|to_np|to_image|to_img|2img|2im|to_pil|logger|meter"
    r"|evaluator|writer|heatmap|to_json|to_csv|to_string|nms|metrics?)$",
)

# torch functions that make a new leaf; requires_grad=True makes it one that autograd follows.
FACTORIES = frozenset(
    f"torch.{name}"
    for name in (
        "tensor rand randn randint zeros ones full empty arange linspace eye rand_like randn_like zeros_like "
        "ones_like full_like empty_like from_numpy as_tensor Tensor FloatTensor LongTensor normal randperm "
        "logspace"
    ).split()
)
WRAPPED_TENSORS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter", "torch.autograd.Variable"})

# Derivatives taken by hand: whoever calls these needs the graph.
GRADIENT_FUNCTIONS = re.compile(
    r"^torch\.(autograd\.(grad|functional\..*|backward|forward_ad\..*|gradcheck.*)|func\.(grad.*|jac.*|vjp|jvp|hessian|linearize)"
    r"|nn\.utils\.clip_grad.*)$|^(functorch|captum|torchattacks|foolbox|advertorch|higher"
    r"|learn2learn(?!\.(vision|data|text|gym)\.))\."
)
GRADIENT_NAMES = re.compile(r"^(grad|jacobian|hessian|vjp|jvp|autograd_grad)$")
# Modules that take derivatives of others, by their names.
ATTACKER = re.compile(r"(^|[._])(attack\w*|adversar\w*|explain\w*|saliency|attribut\w*|grad_?cam)$", re.I)
# Calls of unknown origin that train: by their name, or when they are given a loss.
TRAINING_NAMES = re.compile(r"^(?!save_for)(\w*_)?(backward|backprop\w*|backpropagate)(_|$)")
TAKES_LOSS = re.compile(r"(^|_)(step|minimi[sz]e|optimi[sz]e\w*|update\w*|train\w*|learn|apply_gradients|descend)(_|$)")
BACKWARD_METHODS = frozenset({"backward", "manual_backward", "backward_step"})
STEPPING_METHODS = frozenset({"step", "optimizer_step"})
LOADING_METHODS = frozenset({"from_pretrained", "load_from_checkpoint"})  # give an instance of what they are called on
TRAINING_WORDS = BACKWARD_METHODS | {"fit", "zero_grad"}  # code that says them trains something

# What optimizers are called, and hardly anything else.
OPTIMIZER_NAME = re.compile(r"(^|[._])(\w*_)?(optim|opt|optimi[sz]er)(_?\w{1,2})?$", re.I)
# What gradient scalers and the objects are called that run ``backward()`` on the loss they are given.
SCALER = re.compile(r"(^|[._])(\w*_)?(amp|scaler)(_\w+)?$", re.I)
ENGINE = re.compile(r"(^|[._])(\w*_)?(accelerator|fabric|engine|deepspeed|scaler)$|^self$", re.I)
# Modules without parameters that keep nothing to speak of: a call of one is no forward worth a guard.
TRIVIAL_MODULES = re.compile(
    r"^torch\.nn\.(modules\.\w+\.)?(\w*Loss(2d)?|ReLU\w*|LeakyReLU|RReLU|(Log)?Sigmoid|Tanh|Softmax\w*|LogSoftmax|[A-Z]?ELU"
    r"|SiLU|GLU|Mish|Soft(plus|sign|min)|Hard(tanh|swish|sigmoid)|\w+shrink|\w*Dropout\w*|Flatten|Unflatten|Identity"
    r"|\w*Pool\d?d|MaxUnpool\dd|Upsampl\w+|Pixel(Uns|S)huffle|ChannelShuffle|ZeroPad\w*|\w*Pad\dd|Fold|Unfold"
    r"|CosineSimilarity|PairwiseDistance|LocalResponseNorm|CrossMapLRN2d|Threshold)$"
)
# What of torch.nn has no parameters, functions included.
PARAMETER_FREE = re.compile(
    r"(?!.*(AdaptiveLogSoftmax|LinearCrossEntropy))" + TRIVIAL_MODULES.pattern.removesuffix("$") + r"$"
    r"|^torch\.nn\.(functional|init|utils)\.|^torch\.nn\.Module(\.\w+)?$|^torch(audio|vision)\.(transforms|functional)\."
    r"|^torch_geometric\.nn\.(\w+\.)*(LabelPropagation|CorrectAndSmooth|APPNP|LGConv|SimpleConv|WLConv\w*|PairNorm)$"
)
# Models of bodies: their parameters only stand in for what a forward is not given, and meet no weights.
BODY_MODELS = re.compile(r"^smplx\.")
# What has some only if it is told so.
PLAIN_NORMS = re.compile(r"^torch\.nn\.(modules\.\w+\.)?InstanceNorm\dd$")
# What only holds other modules.
MODULE_CONTAINERS = re.compile(r"^torch\.nn\.(modules\.container\.)?(Sequential|ModuleList|ModuleDict)$")
# Methods of modules.
PARAMETER_LISTS = frozenset({"parameters", "named_parameters"})
# The flag of parameters, read and set.
FLAGS = frozenset({"requires_grad", "requires_grad_"})
NEVER_MODULES = frozenset(
    {
        "builtins",
        "librosa",
        "soundfile",
        "skimage",
        "numpy",
        "scipy",
        "cv2",
        "PIL",
        "sklearn",
        "pandas",
        "einops",
        "opt_einsum",
        "tensorly",
        "tqdm",
        "matplotlib",
        "tilelang",
        "triton",
        "typing",
    }
)
LOSS_LIKE = re.compile(
    r"(^|[._])(criterion\w*|criteria|crit|loss\w*|\w*_loss|\w*loss_?(fn|func|function|module)?|ce|bce|mse|l1|nll|kl)$|loss\w*$",
    re.I,
)
# What tokenizers and processors are called with, and models never.
PROCESSOR_KEYWORDS = frozenset({"return_tensors", "truncation", "padding", "add_special_tokens", "sampling_rate"})
# Modules without parameters, kept with the model: metrics, and memories of what it gave.
METRIC_LIKE = re.compile(r"(^|[._])(\w*metrics?(\[|$)|(\w*_)?(queue|memory_?bank)$)")

# Constructors of modules outside the project.
MODULE_FACTORIES = re.compile(
    r"^(torch\.nn\.(?!functional|init|utils|attention|parameter|modules\.(module|utils))([a-z]\w*\.)*"
    r"(?!(Uninitialized)?(Parameter|Buffer)$)_?[A-Z]\w*(\.from_\w+|\.convert_sync_batchnorm)?"
    r"|torch\.hub\.load|torch\.jit\.(load|script)|torch\.compile"
    r"|torchvision\.models\.(?!.*[wW]eights)(\w+\.)*[a-z]\w*|timm\.(models\.)?create_model|segmentation_models_pytorch\.\w+"
    r"|transformers\.\w*(Model|For[A-Z]\w*|LMHeadModel|PreTrainedModel)\.from_(pretrained|config)"
    r"|transformers\.(?!DataCollator)\w*(Model|For[A-Z]\w*)|torch_geometric\.nn\.\w+|open_clip\.create_model|lpips\.LPIPS|monai\.networks\.nets\.\w+"
    r"|diffusers\.(models\.)?(AutoencoderKL|UNet\w*Model|ControlNetModel|\w*Transformer\w*Model)\.from_pretrained"
    r"|efficientnet_pytorch\.EfficientNet\.\w+|pytorch_pretrained_bert\.\w+\.from_pretrained|fairseq\..*load_model.*)$"
)
# (model, something, ...): the first of a tuple is the module.
MODULE_TUPLE_FACTORIES = re.compile(
    r"^(clip\.load|open_clip\.create_model_and_transforms|fairseq\..*load_model_ensemble.*)$"
)
OPTIMIZERS = re.compile(r"^torch\.optim\.(?!lr_scheduler|swa_utils)(\w+\.)*[A-Z]\w*$")
# Other packages' optimizers, by the names that such algorithms have, and what makes optimizers from a name or settings.
OPTIMIZER_MAKER = re.compile(
    r"\.(\w*Adam(W|ax)?(8bit|32bit)?|\w*SGD|Adafactor|AdaBelief|AdaBound|LAMB|Lamb|LARS|Lars|Lion|Ranger|Shampoo|Adan"
    r"|create_optimizer(_v2)?|instantiate)$"
)

# ``torch.distributions``: what is drawn by ``sample()`` is computed under ``no_grad`` (``Distribution.sample`` and all
# that override it), and everything else carries the graph of the parameters.
DISTRIBUTIONS = re.compile(r"^torch\.distributions\.(\w+\.)*[A-Z]\w*$")
DISTRIBUTION = "torch.distributions.Distribution"  # stands for all of them
PACKING = re.compile(r"^torch\.nn\.utils\.rnn\.(pack_padded_sequence|pack_sequence|PackedSequence)$")
PACKED = "torch.nn.utils.rnn.PackedSequence"  # its ``data`` are its elements, with their graph
DRAWING = frozenset({"sample", "sample_n"})

# What one does with a module and with little else.
MODULE_METHODS = frozenset(
    (
        "eval train parameters named_parameters state_dict load_state_dict zero_grad children named_children "
        "modules named_modules buffers requires_grad_ share_memory register_forward_hook"
    ).split()
)
SELF_RETURNING_MODULE_METHODS = frozenset(
    ("to cuda cpu eval train half float double bfloat16 requires_grad_ apply share_memory to_empty type xpu").split()
)
# Methods of a module outside the project that run a forward and guard nothing: CLIP's encode_image, HF's
# get_image_features, timm's forward_features, fairseq's extract_features, diffusers' AutoencoderKL.encode/decode.
FORWARD_METHODS = re.compile(
    r"^(forward\w*|encode\w*|decode\w*|extract\w*|embed\w*|get_\w*(features?|embeddings?|logits|hidden\w*|actions?|values?)"
    r"|infer\w*|predict\w*|sample\w*|log_prob|act|select_action|compute_\w+|classify|logits|score|p_sample\w*|inference\w*"
    r"|reconstruct\w*|synthesi[sz]e|translate|transcribe|detect\w*|segment\w*|denoise|relation\w*|features|simple_test)$"
)
# Names that hold a model more often than anything else; counts as a hint, never as proof. No verbs (``build_model``
# makes one) and no class names (``Model(...)`` is one).
MODEL_NAME = re.compile(
    r"^(?!lmbda?$|headers?$|_*(create|convert|build|load|get|make|init|prepare|save|set|update|train|export|compile|register|wrap|unwrap|fuse|parse|setup"
    r"|define|construct|select|find|download|resume|restore|reset|copy|clone|freeze|add|compare|count|print|test|eval|validate|run|push"
    r"|provide|fetch|instantiate|initiali[sz]e|retrieve|obtain|assemble|choose|pick|read|open|describe|inspect"
    r"|apply|configure|pull|delete|remove|list|is|has|quantize|trace|script|optimize|merge|split|check|use|new|num|fit|from|to|on|plot"
    r"|log|unfreeze|unload|enable|disable|attach|detach|toggle|tie|untie|lock|unlock|mark|clear|replace|swap|move|offload)(_|[A-Z])"
    r"|.*(cls|class|Class)$)"
    r"(_*([a-z]\w*_)?(model|net|network|encoder|decoder|generator|discriminator|backbone|critic|actor|policy|classifier|unet|vae|gan|agent"
    r"|bert|gpt|resnet\d*|vgg\d*|student|teacher|module_|embedder|transformer|vocoder|lm|dqn|q_?net|gen|disc|feature_extractor|inception"
    r"|autoencoder|enc|dec|rnn|lstm|gru|cnn|mlp|dit|siren|nerf|q_?network|denoiser|denoise_fn|reward_model|head|tacotron2?|waveglow|hifigan|facenet|seq2seq)"
    r"(_?[A-Za-z0-9]{1,2}|_ema|_eval|_targ(et)?|_\d+)?"
    r"|G|D|netG\w*|netD\w*|netE\w*|net_\w{1,2}|G_\w{1,3}|D_\w{1,3}|q1|q2|qf\d?|[a-z]\w*(Model|Net|Network|Encoder|Decoder)"
    r"|(?!\w*(image|model|shape|word|concept|inter|ether)net|(get|set|load|save|make|build|init|create|train|test|eval|run|add"
    r"|reset|copy|freeze|update|show|plot|print|use|new|parse|sub)net)[a-z]+net)$"
)
OF_MANY = re.compile(r"(s|_dict)$")  # ``models[i](x)``, ``net_dict[name](x)``
CALLED_NETWORKS = frozenset({"target", "online"})  # if they are called where something is trained
# What holds a class that makes an object, whatever a signature says it holds; not BERT's ``self.cls``.
CLASS_NAMED = re.compile(r"\w(_class|_cls|Class|Cls)$")
# What constructors are called with, and forwards are not.
SETTINGS_NAME = re.compile(
    r"^(\w+\.)*((\w*_)?(opts?|options?|args?|cfg|conf|config|hparams?|hyp|params|settings|flags)|FLAGS|envs?"
    r"|(\w*_)?(observation|obs|action|act|state)_(space|spec|shape|dim|size)s?)$",
    re.I,
)
# Methods that only models have, whatever they are called on.
MODEL_ONLY_METHODS = re.compile(
    r"^(forward\w*|encode_(text|image)\w*|get_(text|image)_features|extract_features|get_action(_and_value)?|inference)$"
)
# What loads a model that guards its own forward.
GUARDED_HUBS = re.compile(r"ultralytics|yolov5|facebookresearch/co-tracker")
# Keys under which models of atoms give back derivatives that they take themselves.
FORCE_LIKE = re.compile(r"(^|_)(forces?|stress|virials?|gradients?|hessian)(_|$|key)", re.I)
# Objects of other libraries that go by a model's name: processors, tokenizers.
NOT_A_MODULE = re.compile(
    r"^ultralytics\.|(^|\.)pipeline$|(FeatureExtractor|Processor|Tokenizer\w*|Pipeline|Scheduler|SentenceTransformer|Config)(\.\w+)?$"
)
