/* The methods of grad modes, in C where torch calls them for itself: see hooks.c, which includes this. */

enum { ENTER, EXIT, MAKE };
enum { DECORATED = 3 };  /* as in places.py */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *attributes, *original, *python, *threads, *torchs, *closed, *kinds, *inference, *enabled;
    int which, nests;
} Method;

static const struct field method_fields[] = {
    {"original", offsetof(Method, original)}, {"python", offsetof(Method, python)},
    {"threads", offsetof(Method, threads)}, {"torchs", offsetof(Method, torchs)},
    {"closed", offsetof(Method, closed)}, {"kinds", offsetof(Method, kinds)},
    {"inference", offsetof(Method, inference)}, {"enabled", offsetof(Method, enabled)}, {NULL, 0}};

static int in_set(PyObject *set, PyObject *code) {
    PyObject *key = PyLong_FromVoidPtr(code);
    int found = key ? PySet_Contains(set, key) : -1;
    Py_XDECREF(key);
    return found;
}

/* Whether the running frame changes modes for torch itself: torch's own code, or a decorated function that it calls. */
static int torch_calls(Method *m) {
    PyFrameObject *frame = PyEval_GetFrame();
    if (!frame) return 0;
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    int found = in_set(m->torchs, code);
    if (!found && m->which == ENTER) {
        PyObject *key = PyLong_FromVoidPtr(code), *kind = key ? PyDict_GetItemWithError(m->kinds, key) : NULL;
        Py_XDECREF(key);
        if (kind && PyLong_AsLong(kind) == DECORATED) {
            PyFrameObject *back = PyFrame_GetBack(frame);
            if (back) {
                PyObject *caller = (PyObject *)PyFrame_GetCode(back);
                found = in_set(m->closed, caller);
                Py_DECREF(caller), Py_DECREF(back);
            }
        }
    }
    Py_DECREF(code);
    return found;
}

/* Whether an object opened one of the regions that the thread is in. */
static int opened(PyObject *stack, PyObject *object) {
    for (Py_ssize_t i = PyList_GET_SIZE(stack) - 1; i >= 0; i--)
        if (PyLong_AsVoidPtr(SLOT(PyList_GET_ITEM(stack, i), key)) == object) return 1;
    return 0;
}

static PyObject *method_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    Method *m = (Method *)self;
    PyObject *state = PyVectorcall_NARGS(flags) ? state_of(m->threads) : NULL;
    int own = 0, passes = 0;
    if (state) {
        passes = SLOT(state, busy) == Py_True;
        own = !passes && (m->which == EXIT ? !opened(SLOT(state, stack), args[0]) : torch_calls(m));
    }
    if (PyErr_Occurred()) PyErr_Clear(), own = passes = 0;
    if (!own && !passes) {
        Py_XDECREF(state);
        return PyObject_Vectorcall(m->python, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    }
    PyObject *result = PyObject_Vectorcall(m->original, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    if (result && own && !m->nests) {
        int mode = mode_now(m->inference, m->enabled);
        if (mode < 0) PyErr_Clear();
        else put(&SLOT(state, mode), PyLong_FromLong(mode));
        put(&SLOT(state, internal), PyLong_FromLongLong(number(SLOT(state, internal)) + 1));
    }
    Py_DECREF(state);
    return result;
}

static PyObject *method_get(PyObject *self, PyObject *object, PyObject *type) {
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static int method_visit(Method *self, visitproc visit, void *arg) {
    Py_VISIT(self->attributes);
    for (const struct field *f = method_fields; f->name; f++) Py_VISIT(*(PyObject **)((char *)self + f->offset));
    return 0;
}

static int method_clear(Method *self) {
    let_fields_go((PyObject *)self, method_fields);
    Py_CLEAR(self->attributes);
    return 0;
}

static void method_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    method_clear((Method *)self);
    PyObject_GC_Del(self);
}

static PyGetSetDef method_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject MethodType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Method", .tp_basicsize = sizeof(Method),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_call = PyVectorcall_Call, .tp_vectorcall_offset = offsetof(Method, call), .tp_descr_get = method_get,
    .tp_traverse = (traverseproc)method_visit, .tp_clear = (inquiry)method_clear, .tp_dealloc = method_free,
    .tp_getset = method_attributes, .tp_dictoffset = offsetof(Method, attributes)};

/* A method of a grad mode (0 its `__enter__`, 1 `__exit__`, 2 `__init__`), given what it works with. */
PyObject *gradlint_method(PyObject *given, int which, int nests) {
    Method *made = PyObject_GC_New(Method, &MethodType);
    if (!made) return NULL;
    memset((char *)made + sizeof(PyObject), 0, sizeof *made - sizeof(PyObject));
    made->call = method_call, made->which = which, made->nests = nests;
    PyObject_GC_Track(made);
    if (!keep((PyObject *)made, method_fields, given)) return (PyObject *)made;
    Py_DECREF(made);
    return NULL;
}
