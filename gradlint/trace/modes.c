/* The methods of grad modes, in C: see hooks.c, which includes this, and patches.py. Where Python itself tells when they
   run (watch.c) they are not replaced, and `original` is a method's code. */

enum { ENTER, EXIT, MAKE, DECORATE };
enum { SITES = 64, GENERATORS = CO_GENERATOR | CO_ASYNC_GENERATOR };
struct site { PyObject *code; int instruction; uint32_t number; };  /* codes that have places are kept alive */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *attributes, *original, *tracing, *what, *tell;
    int which, nests;
    struct site sites[SITES];
} Method;

static const struct field method_fields[] = {
    FIELD(Method, original), FIELD(Method, tracing), FIELD(Method, what), FIELD(Method, tell), {NULL, 0}};

/* Whether a frame changes modes for torch itself: torch's own code, or a decorated function that it calls. */
static int for_torch(Method *m, PyFrameObject *frame) {
    Tracing *t = (Tracing *)m->tracing;
    PyCodeObject *code = PyFrame_GetCode(frame);
    int kind = kind_of(t, (PyObject *)code);
    int yes = kind >= 0 && (kind & ~CLOSED) == INTERNAL && PyUnicode_CompareWithASCIIString(code->co_name, "clone");
    Py_DECREF(code);
    if (kind != DECORATED || m->which != ENTER) return kind < 0 ? -1 : yes;
    PyFrameObject *back = PyFrame_GetBack(frame);
    if (!back) return 0;
    code = PyFrame_GetCode(back);
    kind = kind_of(t, (PyObject *)code);
    Py_DECREF(code), Py_DECREF(back);
    return kind < 0 ? -1 : (kind & CLOSED) != 0;
}

/* Whether an object opened one of the regions that the thread is in. */
static int opened(PyObject *stack, PyObject *object) {
    for (Py_ssize_t i = PyList_GET_SIZE(stack) - 1; i >= 0; i--)
        if (PyLong_AsVoidPtr(SLOT(PyList_GET_ITEM(stack, i), key)) == object) return 1;
    return 0;
}

/* Torch has changed the mode for itself. */
static void count_internal(Tracing *t, PyObject *state) {
    int mode = mode_now(t);
    if (mode < 0) PyErr_Clear();
    else put(&SLOT(state, mode), PyLong_FromLong(mode));
    put(&SLOT(state, internal), PyLong_FromLongLong(number(SLOT(state, internal)) + 1));
}

/* Torch changes the mode for itself. What no_grad does through set_grad_enabled is told but once. */
static PyObject *changed_by_torch(Method *m, PyObject *state, PyObject *const *args, size_t flags, PyObject *names) {
    if (m->nests) put(&SLOT(state, busy), Py_NewRef(Py_True));
    PyObject *result = PyObject_Vectorcall(m->original, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    if (m->nests) put(&SLOT(state, busy), Py_NewRef(Py_False));
    if (result) count_internal((Tracing *)m->tracing, state);
    return result;
}

/* The number of a frame's place, if it has one already. */
static uint32_t site_of(Method *m, PyCodeObject *code, int instruction) {
    struct site *s = &m->sites[(mixed((uintptr_t)code) + (size_t)instruction) & (SITES - 1)];
    if (s->code == (PyObject *)code && s->instruction == instruction) return s->number;
    PyObject *key = Py_BuildValue("(NiO)", PyLong_FromVoidPtr(code), instruction, m->what);
    uint32_t found = key ? (uint32_t)number(PyDict_GetItemWithError(((Tracing *)m->tracing)->numbers, key)) : 0;
    Py_XDECREF(key);
    if (found) s->code = (PyObject *)code, s->instruction = instruction, s->number = found;
    return found;
}

/* Open(...) */
static PyObject *new_open(PyObject *object, int64_t number, uint32_t site, int before) {
    PyObject *made = open_type->tp_alloc(open_type, 0);
    if (!made) return NULL;
    const struct { PyObject **slot, *value; } all[] = {
        {&SLOT(made, key), PyLong_FromVoidPtr(object)}, {&SLOT(made, number), PyLong_FromLongLong(number)},
        {&SLOT(made, place), PyLong_FromUnsignedLong(site)}, {&SLOT(made, before), PyLong_FromLong(before)},
        {&SLOT(made, in_task), PyLong_FromLong(0)}, {&SLOT(made, read), Py_NewRef(Py_True)},
        {&SLOT(made, suspends), Py_NewRef(Py_None)}, {&SLOT(made, drives), Py_NewRef(Py_False)},
        {&SLOT(made, inherited), Py_NewRef(Py_False)}, {&SLOT(made, parked), Py_NewRef(Py_False)},
        {&SLOT(made, ran_under), Py_NewRef(Py_False)}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i].slot = all[i].value;
    if (!PyErr_Occurred()) return made;
    Py_DECREF(made);
    return NULL;
}

/* Whether nothing is pending on this thread: no statement, no suspended generator, no change of mode that was not seen. */
static int settled(PyObject *state, int before) {
    return SLOT(state, made) == Py_None && !PyList_GET_SIZE(SLOT(state, statements)) &&
           !number(SLOT(state, suspending)) && before == number(SLOT(state, mode));
}

/* Tracer.enter: 1 if it is done, 0 if it is Python's to do. */
static int entered(Method *m, PyObject *state, PyObject *object, int before, PyFrameObject *frame) {
    Tracing *t = (Tracing *)m->tracing;
    PyCodeObject *code = PyFrame_GetCode(frame);
    uint32_t site = code->co_flags & GENERATORS ? 0 : site_of(m, code, PyFrame_GetLasti(frame));
    Py_DECREF(code);
    int after = mode_now(t);
    if (!site || after < 0 || !settled(state, before)) return 0;
    PyObject *region = new_open(object, 0, site, before);  /* this first: whatever it sets off comes before the record */
    struct log *log = region ? quick(t) : NULL;
    if (log && !may_record(t, state)) log = NULL;
    int64_t *words = log ? log->words.buf : NULL;
    int done = log && !PyList_Append(SLOT(state, stack), region);
    if (done && !append(log, site, (uint16_t)number(SLOT(state, lane)), (uint8_t)(after | before << 2), KIND_ENTER)) {
        done = 0;
        PyObject *stack = SLOT(state, stack);
        PyList_SetSlice(stack, PyList_GET_SIZE(stack) - 1, PyList_GET_SIZE(stack), NULL);
    }
    if (done) {
        put(&SLOT(region, number), PyLong_FromLongLong(words[ENTERED]++));
        put(&SLOT(state, mode), PyLong_FromLong(after)), put(&SLOT(state, last_site), PyLong_FromUnsignedLong(site));
    }
    Py_XDECREF(region);
    return done;
}

/* Tracer.exit: 1 if it is done, 0 if it is Python's to do. */
static int left(Method *m, PyObject *state, PyObject *object, int before) {
    Tracing *t = (Tracing *)m->tracing;
    PyObject *stack = SLOT(state, stack);
    Py_ssize_t top = PyList_GET_SIZE(stack) - 1;
    if (top < 0 || !settled(state, before)) return 0;
    PyObject *region = PyList_GET_ITEM(stack, top);
    int after = mode_now(t);
    if (PyLong_AsVoidPtr(SLOT(region, key)) != object || after != number(SLOT(region, before))) return 0;
    struct log *log = quick(t);
    uint32_t entry = (uint32_t)number(SLOT(region, number));
    if (!log || !may_record(t, state)) return 0;
    if (!append(log, entry, (uint16_t)number(SLOT(state, lane)), (uint8_t)(after | before << 2), KIND_EXIT)) return 0;
    put(&SLOT(state, mode), PyLong_FromLong(after)), put(&SLOT(state, last_site), Py_NewRef(SLOT(region, place)));
    PyList_SetSlice(stack, top, top + 1, NULL);
    return 1;
}

/* Have Python tell it: Tracer.enter, exit, statement or undo. */
static void tell_python(Method *m, PyObject *state, PyObject *object, int before, PyFrameObject *frame) {
    PyObject *key = PyLong_FromVoidPtr(object), *mode = PyLong_FromLong(before), *done = NULL;
    PyObject *frames = frame ? (PyObject *)frame : Py_None;
    PyObject *args[] = {state, key, mode, frames, m->what};
    if (key && mode && m->which == DECORATE) done = PyObject_CallOneArg(m->tell, key);
    else if (key && mode) done = PyObject_Vectorcall(m->tell, args, m->which == EXIT ? 3 : m->which == MAKE ? 4 : 5, NULL);
    Py_XDECREF(key), Py_XDECREF(mode), Py_XDECREF(done);
    if (!done) fault((Tracing *)m->tracing);
}

/* The program has changed the mode, in this frame. */
static void tell(Method *m, PyObject *state, PyObject *object, int before, PyFrameObject *frame) {
    int done = m->which == ENTER ? entered(m, state, object, before, frame)
             : m->which == EXIT  ? left(m, state, object, before) : 0;
    if (PyErr_Occurred()) fault((Tracing *)m->tracing);
    else if (!done) tell_python(m, state, object, before, frame);
}

/* The program changes the mode, in this frame. */
static PyObject *changed(Method *m, PyObject *state, PyFrameObject *frame, PyObject *const *args, size_t flags,
                         PyObject *names) {
    put(&SLOT(state, busy), Py_NewRef(Py_True));
    int before = mode_now((Tracing *)m->tracing);
    PyObject *result = PyObject_Vectorcall(m->original, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    if (result) tell(m, state, args[0], before, frame);
    put(&SLOT(state, busy), Py_NewRef(Py_False));
    return result;
}

static PyObject *method_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    Method *m = (Method *)self;
    PyObject *state = PyVectorcall_NARGS(flags) ? state_of((Tracing *)m->tracing) : NULL;
    if (!state || SLOT(state, busy) == Py_True) {
        if (!state) PyErr_Clear();
        return PyObject_Vectorcall(m->original, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    }
    Py_INCREF(state);
    PyFrameObject *frame = m->which == EXIT ? NULL : (PyFrameObject *)Py_XNewRef(PyEval_GetFrame());
    int own = m->which == EXIT ? !opened(SLOT(state, stack), args[0]) : !frame || for_torch(m, frame);
    if (PyErr_Occurred()) fault((Tracing *)m->tracing);
    PyObject *result = own ? changed_by_torch(m, state, args, flags, names) : changed(m, state, frame, args, flags, names);
    Py_XDECREF(frame), Py_DECREF(state);
    return result;
}

static PyObject *method_get(PyObject *self, PyObject *object, PyObject *type) {
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static int method_visit(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Method *)self)->attributes);
    return visit_fields(self, method_fields, visit, arg);
}

static int method_clear(PyObject *self) {
    let_fields_go(self, method_fields);
    Py_CLEAR(((Method *)self)->attributes);
    return 0;
}

static void method_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    method_clear(self);
    PyObject_GC_Del(self);
}

static PyGetSetDef method_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject MethodType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Method", .tp_basicsize = sizeof(Method),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_call = PyVectorcall_Call, .tp_vectorcall_offset = offsetof(Method, call), .tp_descr_get = method_get,
    .tp_traverse = method_visit, .tp_clear = method_clear, .tp_dealloc = method_free,
    .tp_getset = method_attributes, .tp_dictoffset = offsetof(Method, attributes)};

/* A method of a grad mode (ENTER its `__enter__`, EXIT `__exit__`, MAKE `__init__`), given what it works with. */
PyObject *gradlint_method(PyObject *given, int which, int nests) {
    Method *made = (Method *)filled(&MethodType, method_fields, given);
    if (made) made->call = method_call, made->which = which, made->nests = nests;
    return (PyObject *)made;
}
