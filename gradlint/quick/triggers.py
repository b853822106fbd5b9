"""The words without which no built-in rule finds anything: of torch, of what trains and infers, of comments for us.

Code in which none of them stands gets no finding, whatever the analysis would make of it. They are taken
widely: a word too many costs a little time, one that is missing costs a finding.
"""

# Whatever holds one of these anywhere, in small or capital letters.
STEMS = tuple(
    (
        "gradlint noqa torch grad gard grda backw backprop detach optim loss forward tensor model infer eval train "
        "state_dict requir param cuda dropout criter lightning transformer diffusers accelerate monai fairseq mmcv "
        "mmdet mmseg mmengine detectron kornia ignite fastai open_clip allennlp stable_baselines speechbrain espnet "
        "catalyst einops ultralytics yolo captum foolbox functorch learn2learn onnx jacob hessian leaf sched "
        "scaler checkpoint net critic actor policy agent encod decod generator discrim backbone classif vae bert gpt "
        "vgg student teacher embed vocoder dqn feature inception rnn lstm cnn mlp siren nerf denois tacotron waveglow "
        "hifigan seq2seq"
    ).split()
)
# Whole words.
WORDS = frozenset(
    (
        "timm clip dgl flair lpips higher jax nn item argmax softmax unsqueeze step zero fit kl kld nll crit vjp jvp "
        "data data_ptr spaces clone numpy cpu lm gen disc dit gan gru q1 q2 qf G D"
    ).split()
)
# What begins so is often a model too.
BEGINNINGS = ("G_", "D_", "qf")
