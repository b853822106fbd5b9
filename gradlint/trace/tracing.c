/* What C knows of one tracer: see hooks.c, which includes this. */

/* Codes that were met, and what was said of them; the one who says it keeps them alive. */
enum { CODES = 512, INTERNAL = 1, DECORATED = 3, CLOSED = 8 };  /* the kinds as in places.py */
struct met { PyObject *code; int kind; };

typedef struct {
    PyObject_HEAD
    PyObject *records, *threads, *kind, *closed, *numbers, *inference, *enabled, *loop, *broke;  /* of Python */
    PyObject *state;  /* that of the thread which asked last */
    uint64_t thread;
    struct met codes[CODES];
} Tracing;

#define FIELD(type, name) {#name, offsetof(type, name)}
static const struct field tracing_fields[] = {
    FIELD(Tracing, records), FIELD(Tracing, threads), FIELD(Tracing, kind), FIELD(Tracing, closed),
    FIELD(Tracing, numbers), FIELD(Tracing, inference), FIELD(Tracing, enabled), FIELD(Tracing, loop),
    FIELD(Tracing, broke), {NULL, 0}};

/* What the running thread is known to do; borrowed, and only until other code runs. */
static PyObject *state_of(Tracing *t) {
    uint64_t thread = PyThreadState_GetID(PyThreadState_Get());
    if (t->thread == thread) return t->state;
    PyObject *state = PyObject_GetAttr(t->threads, name_state);
    if (!state) return NULL;
    t->thread = thread;
    Py_XSETREF(t->state, state);
    return state;
}

/* The grad mode, as torch_api.mode has it; -1 if it could not be had. */
static int mode_now(Tracing *t) {
    if (torch_says.grad && torch_says.inference) return torch_says.inference() ? 2 : torch_says.grad();
    int yes = says(t->inference);
    return yes < 0 ? -1 : yes ? 2 : says(t->enabled);
}

/* An error of ours must not become the program's. */
static void fault(Tracing *t) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && trace) PyException_SetTraceback(value, trace);
    PyObject *done = value ? PyObject_CallOneArg(t->broke, value) : NULL;
    Py_XDECREF(done), Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    PyErr_Clear();
}

/* Whose code it is, as Places.kind has it, and whether it is one of `closed`; -1 if it could not be told. */
static int kind_of(Tracing *t, PyObject *code) {
    struct met *m = &t->codes[mixed((uintptr_t)code) & (CODES - 1)];
    if (m->code == code) return m->kind;
    PyObject *kind = PyObject_CallOneArg(t->kind, code), *key = PyLong_FromVoidPtr(code);
    int closed = kind && key ? PySet_Contains(t->closed, key) : -1, found = -1;
    if (closed >= 0) m->code = code, m->kind = found = (int)PyLong_AsLong(kind) | (closed ? CLOSED : 0);
    Py_XDECREF(kind), Py_XDECREF(key);
    return found;
}

/* The log that records are made for here, if nothing but the CPU is measured. Other threads may run meanwhile. */
static struct log *quick(Tracing *t) {
    if (SLOT(t->records, more) != Py_None) {
        PyObject *done = PyObject_CallMethodNoArgs(t->records, name_discover);
        if (!done) return NULL;
        Py_DECREF(done);
    }
    if (SLOT(t->records, alone) != Py_True) return NULL;
    PyObject *swift = SLOT(SLOT(t->records, log), swift);
    if (!PyCFunction_Check(swift) || PyCFunction_GET_FUNCTION(swift) != record_definition.ml_meth) return NULL;
    return PyCapsule_GetPointer(PyCFunction_GET_SELF(swift), NULL);
}

/* Whether a record may be made now for the running thread: it has a lane, and no other thread is making one. */
static int may_record(Tracing *t, PyObject *state) {
    if (number(SLOT(state, lane)) < 0 || number(SLOT(state, task))) return 0;
    PyObject *loop = PyObject_CallNoArgs(t->loop);
    PyObject *held = loop == Py_None ? PyObject_CallMethodNoArgs(SLOT(t->records, lock), name_locked) : NULL;
    Py_XDECREF(loop), Py_XDECREF(held);
    return held == Py_False;
}

static int tracing_visit(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Tracing *)self)->state);
    return visit_fields(self, tracing_fields, visit, arg);
}

static int tracing_clear(PyObject *self) {
    ((Tracing *)self)->thread = 0;
    Py_CLEAR(((Tracing *)self)->state);
    let_fields_go(self, tracing_fields);
    return 0;
}

static void tracing_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    tracing_clear(self);
    PyObject_GC_Del(self);
}

static PyTypeObject TracingType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Tracing", .tp_basicsize = sizeof(Tracing),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_traverse = tracing_visit, .tp_clear = tracing_clear,
    .tp_dealloc = tracing_free};

/* An object of a type with these fields, filled from the attributes of another one. */
static PyObject *filled(PyTypeObject *type, const struct field *fields, PyObject *given) {
    PyObject *made = (PyObject *)PyObject_GC_New(PyObject, type);
    if (!made) return NULL;
    memset((char *)made + sizeof(PyObject), 0, (size_t)type->tp_basicsize - sizeof(PyObject));
    PyObject_GC_Track(made);
    if (!keep(made, fields, given)) return made;
    Py_DECREF(made);
    return NULL;
}

PyObject *gradlint_tracing(PyObject *given) {
    PyObject *made = filled(&TracingType, tracing_fields, given);
    if (!made) return NULL;
    PyObject *type = (PyObject *)Py_TYPE(((Tracing *)made)->records);
    if (!find(type, "alone", &at.alone) && !find(type, "more", &at.more) && !find(type, "log", &at.log) &&
        !find(type, "lock", &at.lock)) return made;
    Py_DECREF(made);
    return NULL;
}
