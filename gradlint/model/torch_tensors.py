"""What operations make of a tensor as far as autograd goes: tables, not code.

Source for every row: torch 2.13, executed (``tests/project/test_values.py`` runs a good part of it again). Names
are those of methods; nearly all of them are functions of ``torch`` too.
"""

import re

# What an operation saved for its backward is its own result: to change that makes the gradient wrong, or an error.
RESULT_SAVING = frozenset(
    "sigmoid tanh exp softmax log_softmax sqrt rsqrt relu reciprocal expm1 exp2 tan elu selu".split()
)
# A new tensor, part of the graph if an operand is; under no_grad one that does not require grad.
COMPUTING = frozenset(
    "abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr amax amin angle arccos arccosh arcsin "
    "arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh baddbmm bernoulli bmm cdouble ceil chalf cholesky "
    "cholesky_inverse cholesky_solve clamp clamp_max clamp_min clip clone copysign corrcoef cos cosh cov cross "
    "cumprod cumsum deg2rad det diag_embed diagflat diff digamma dist div divide dot erf erfc erfinv exp exp2 "
    "expm1 fix flip fliplr flipud float_power floor floor_divide fmax fmin fmod frac gather ger hardshrink "
    "heaviside hypot i0 igamma igammac index_add index_copy index_fill index_put index_select inner inverse kron "
    "ldexp lerp lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logdet logit logsumexp "
    "masked_fill masked_scatter masked_select matmul matrix_exp matrix_power maximum mean minimum mm msort mul "
    "multiply mv nan_to_num nanmean nanquantile nansum neg negative norm outer pinverse polygamma pow prelu prod "
    "put quantile rad2deg reciprocal relu remainder repeat repeat_interleave roll rot90 round rsqrt rsub scatter "
    "scatter_add scatter_reduce select_scatter sgn sigmoid sign sin sinc sinh slice_scatter softmax sqrt square "
    "std sub subtract sum take take_along_dim tan tanh tile trace tril triu true_divide trunc unique_consecutive "
    "var vdot where xlogy "
    # functions of torch only
    "bilinear block_diag cat cdist celu chain_matmul column_stack complex concat concatenate cosine_similarity "
    "cosine_embedding_loss ctc_loss dstack einsum embedding group_norm hstack instance_norm layer_norm batch_norm "
    "max_pool1d max_pool2d max_pool3d pairwise_distance pixel_shuffle polar rms_norm row_stack rrelu selu stack "
    "std_mean tensordot threshold trapezoid trapz var_mean vstack conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d conv_transpose3d dsmm".split()
)
# Methods that write into their tensor, besides those of COMPUTING with an underscore.
FILLING = frozenset(
    "zero_ fill_ copy_ normal_ uniform_ random_ exponential_ geometric_ cauchy_ log_normal_ set_ index_fill_ "
    "masked_fill_ fill_diagonal_ masked_scatter_ relu_ clamp_ erfinv_ lt_ gt_ eq_".split()
)
# What changes the elements of its tensor.
IN_PLACE = FILLING | {f"{name}_" for name in COMPUTING}
ADDING_IN_PLACE = frozenset({"add_", "sub_"})
# A view of the first operand, with its graph. Under no_grad a view of what requires grad requires grad too, as a leaf.
VIEWING = frozenset(
    "as_strided broadcast_to diagonal expand expand_as mH mT H T movedim moveaxis narrow permute select squeeze "
    "swapaxes swapdims t transpose unflatten unfold unsqueeze view_as view_as_real view_as_complex".split()
)
# A view or a copy, as it turns out.
RESHAPING = frozenset("reshape reshape_as".split())
# The tensor itself, a view or a copy, as it turns out.
KEEPING = frozenset(
    "to cpu cuda xpu mps npu float double half bfloat16 type type_as contiguous pin_memory coalesce to_dense "
    "dequantize positive resolve_conj resolve_neg conj conj_physical sum_to_size real flatten ravel adjoint "
    "atleast_1d atleast_2d atleast_3d dropout alpha_dropout feature_dropout feature_alpha_dropout as_tensor "
    "asarray diag to_sparse to_mkldnn unique cfloat chalf imag".split()
)
# Those of them that may be asked for integers.
CONVERTING = frozenset("to type type_as as_tensor asarray".split())
# Conversions away from the default type.
OTHER_FLOATS = frozenset("double half bfloat16".split())
# Factories whose result has the default type unless they are told otherwise.
DEFAULT_FLOATS = frozenset("rand randn zeros ones eye linspace empty".split())
# Integers and booleans: nothing of a graph goes on from here.
INDEXING = frozenset(
    "all any argmax argmin argsort argwhere bincount bool bucketize byte char count_nonzero eq ge greater "
    "greater_equal gt histc int isclose isfinite isinf isnan isneginf isposinf isreal le less less_equal "
    "logical_and logical_not logical_or logical_xor long lt multinomial ne nonzero not_equal searchsorted short "
    "signbit".split()
)
# Those of them that nothing but a tensor or an array has.
INDEXING_ANYTHING = frozenset("argmax argmin argsort argwhere nonzero long eq ne gt lt ge le".split())
# What is given the places of the elements that it takes.
PICKING = frozenset({"gather", "index_select", "take", "take_along_dim"})
# A new tensor of data, whatever the owner; ``requires_grad=True`` makes it a leaf.
MAKING = frozenset("new_zeros new_ones new_full new_empty new_tensor".split())
# Python numbers.
COUNTING = frozenset(
    "size dim numel ndimension nelement element_size stride is_floating_point is_complex is_contiguous data_ptr "
    "get_device storage_offset equal allclose is_nonzero is_set_to is_same_size".split()
)

# What is called on unknown things under these names is done by tensors, as a rule, and does nothing besides.
TENSOR_METHODS = (COMPUTING | VIEWING | RESHAPING | KEEPING | INDEXING | MAKING | COUNTING | {"view", "max", "min"}) - {
    "put",
    "where",
}

# Factories that are given sizes and bounds, and no elements.
BLANK_FACTORIES = frozenset(
    "rand randn randint zeros ones empty arange linspace eye rand_like randn_like randint_like zeros_like ones_like "
    "empty_like randperm logspace range empty_strided hann_window hamming_window".split()
)
# Factories whose result is data, whatever they are given.
COPYING_FACTORIES = BLANK_FACTORIES | {"tensor", "full", "full_like", "from_numpy"}
# Factories that hand a tensor on if they are given one.
LENIENT_FACTORIES = frozenset("as_tensor Tensor FloatTensor normal asarray".split())

# Functions of torch.nn.functional that may give back what they are given, or something that is no plain result.
UNCLEAR_FUNCTIONALS = re.compile(
    r"dropout|one_hot|multi_head|_with_indices|_$|grad_?|lp_pool|unfold|interpolate|upsample|pad$"
)
# Modules of torch.nn that may give back what they are given.
UNCLEAR_MODULES = re.compile(r"(Dropout\w*|Identity|Flatten|Unflatten|ReLU6?|Sequential|\w*Pad\w*|Upsample\w*)$")
# What a loss compares with: data, whatever else is not known of it.
LABELS = re.compile(r"(^|[._])(y|labels?|targets?|gt|truth)(_(train|true|batch|b|i))?$", re.I)
# Words in the name of a function we cannot see that speak of a tensor's own flags.
FLAGGING_NAMES = re.compile(r"grad|leaf|hook|retain|attach|watch|track|requires|enable|prepare|param", re.I)

# Code outside the project that never runs ``backward()``, and never changes a tensor's flags.
HARMLESS_FUNCTIONS = re.compile(
    r"^(builtins\.(?!map$|filter$|exec$|eval$|next$|setattr$|__import__$|super$|__build_class__$).*"
    r"|torch\.(?!autograd\.(backward|gradcheck|gradgradcheck|functional|profiler|function)|utils\.(checkpoint|data)"
    r"|func\.|_dynamo|compile|jit|fx|multiprocessing|distributed|export|onnx|vmap|hub|ao|quantization|testing|_C).*"
    r"|torchvision\.(utils|transforms|models|io)\..*"
    r"|(numpy|math|matplotlib|cv2|PIL|scipy|pandas|json|pickle|csv|time|os|sys|pathlib|warnings|random|re|io|copy|shutil"
    r"|logging|datetime|glob|yaml|itertools|collections|string|argparse|functools\.(wraps|lru_cache)|einops|tqdm|types"
    r"|dataclasses|operator|subprocess|tempfile|uuid|hashlib|seaborn|h5py|textwrap|pprint|struct|gc|platform|socket)\..*)$"
)
# Methods of what we know nothing of that a tensor, a list, a string or a module has, and that never run ``backward()``.
HARMLESS_METHODS = frozenset(
    "append extend insert add update items keys values get pop index count copy split join strip lower upper "
    "format startswith endswith replace item tolist numpy detach zero_grad parameters named_parameters state_dict "
    "load_state_dict children modules named_modules buffers eval info debug warning error setdefault sort reverse "
    "encode add_scalar add_image set_postfix set_description write flush close seed manual_seed".split()
)
