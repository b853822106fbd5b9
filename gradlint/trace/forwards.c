/* Forwards of root modules as they begin and end, in C: see hooks.c, which includes this, and forwards.py. */

/* Codes that were met, and what was said of them; the one who says it keeps them alive. */
enum { CODES = 512 };
struct met { PyObject *code; int kind; };

static struct met *met(struct met *codes, PyObject *code) { return &codes[mixed((uintptr_t)code) & (CODES - 1)]; }

typedef struct {
    PyObject_HEAD
    PyObject *key, *hooks, *running, *compiled, *threads, *tracer, *ways, *tensor;
    PyObject *before, *over, *gone, *first, *ended, *hang, *new_end, *kind, *alone, *broke;  /* of Python */
    PyObject *is_compiling, *tracing, *transforming, *modes, *inference, *enabled;
    int on, counted;
    struct met codes[CODES];
} Forwards;

#define FIELD(name) {#name, offsetof(Forwards, name)}
static const struct field forwards_fields[] = {
    FIELD(key), FIELD(hooks), FIELD(running), FIELD(compiled), FIELD(threads), FIELD(tracer), FIELD(ways),
    FIELD(tensor), FIELD(before), FIELD(over), FIELD(gone), FIELD(first), FIELD(ended), FIELD(hang), FIELD(new_end),
    FIELD(kind), FIELD(alone), FIELD(broke), FIELD(is_compiling), FIELD(tracing), FIELD(transforming), FIELD(modes),
    FIELD(inference), FIELD(enabled), {NULL, 0}};

typedef struct { PyObject_HEAD vectorcallfunc call; PyObject *weak; Forwards *forwards; int began; } Before;
typedef struct { PyObject_HEAD vectorcallfunc call; Forwards *forwards; PyObject *key; } End;
static PyTypeObject BeforeType, EndType;
static PyObject *hook(PyObject *self, PyObject *nothing);

/* An error of ours must not become the program's. */
static void fault(Forwards *f) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value && trace) PyException_SetTraceback(value, trace);
    PyObject *done = value ? PyObject_CallOneArg(f->broke, value) : NULL;
    Py_XDECREF(done), Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    PyErr_Clear();
}

/* The log that records are made for here, if nothing but the CPU is measured and no compiled code runs. */
static struct log *quick(Forwards *f) {
    if (!f->on || PySet_GET_SIZE(f->compiled)) return NULL;
    PyObject *alone = PyObject_GetAttr(f->tracer, name_alone), *log = PyObject_GetAttr(f->tracer, name_log);
    PyObject *swift = alone == Py_True && log ? PyObject_GetAttr(log, name_swift) : NULL;
    struct log *found = NULL;
    if (swift && PyCFunction_Check(swift) && PyCFunction_GET_FUNCTION(swift) == record_definition.ml_meth)
        found = PyCapsule_GetPointer(PyCFunction_GET_SELF(swift), NULL);
    Py_XDECREF(alone), Py_XDECREF(log), Py_XDECREF(swift);
    PyErr_Clear();
    return found;
}

/* Places.way: the mode, and the lines of the program that led here; a new reference. */
static PyObject *way(Forwards *f, PyFrameObject *frame, int mode) {
    enum { LINES = 5 };
    uintptr_t found[1 + 2 * LINES] = {(uintptr_t)mode};
    int count = 1;
    Py_INCREF(frame);
    while (frame && count < 1 + 2 * LINES) {
        PyObject *code = (PyObject *)PyFrame_GetCode(frame);
        struct met *m = met(f->codes, code);
        if (m->code != code) {
            PyObject *kind = PyObject_CallOneArg(f->kind, code);
            if (!kind) {
                Py_DECREF(code), Py_DECREF(frame);
                return NULL;
            }
            m->code = code, m->kind = (int)PyLong_AsLong(kind);
            Py_DECREF(kind);
        }
        if (m->kind == 0) found[count++] = (uintptr_t)code, found[count++] = (uintptr_t)PyFrame_GetLasti(frame);
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return PyBytes_FromStringAndSize((char *)found, count * (Py_ssize_t)sizeof *found);
}

/* The row of the line that calls a module just now; a new reference. */
static PyObject *row_of(Forwards *f) {
    PyFrameObject *frame = PyEval_GetFrame();
    int mode = mode_now(f->inference, f->enabled);
    PyObject *key = frame && mode >= 0 ? way(f, frame, mode) : NULL;
    PyObject *row = key ? Py_XNewRef(PyDict_GetItemWithError(f->ways, key)) : NULL;
    if (!row && key && !PyErr_Occurred()) {
        row = PyObject_CallFunction(f->first, "OiO", key, mode, frame);
    }
    Py_XDECREF(key);
    return row;
}

/* Row.call */
static int call_row(PyObject *row) {
    int64_t *words = words_of(row);
    if (!words) {
        PyObject *done = PyObject_CallMethod(row, "call", NULL);
        Py_XDECREF(done);
        return done ? 0 : -1;
    }
    words[CALLS]++;
    if (words[GRAPHS] > number(SLOT(row, left))) words[RISES]++;
    else if (!words[GRAPHS]) words[RISES] = 0;
    put(&SLOT(row, left), PyLong_FromLongLong(words[GRAPHS]));
    return 0;
}

static int hook_end(Forwards *f, PyObject *state, PyObject *module) {
    PyObject *end = SLOT(state, end);
    if (!end || !Py_IS_TYPE(end, &EndType)) {
        put(&SLOT(state, end), PyObject_CallNoArgs(f->new_end));
        end = SLOT(state, end);
        if (!Py_IS_TYPE(end, &EndType)) return -1;
    }
    PyObject *key = ((End *)end)->key, *hooks = PyObject_GetAttr(module, name_forward_hooks);
    PyObject *always = hooks ? PyObject_GetAttr(module, name_always_called) : NULL;
    int bad = !always || PyObject_SetItem(hooks, key, end) || PyObject_SetItem(always, key, Py_True);
    Py_XDECREF(hooks), Py_XDECREF(always);
    return bad ? -1 : 0;
}

static void begin(Forwards *f, Before *self, PyObject *state, PyObject *module) {
    put(&SLOT(state, busy), Py_NewRef(Py_True));
    int bad = PyObject_DelItem(f->hooks, f->key);  /* children are called without us */
    if (!bad) {
        self->began = 1;
        put(&SLOT(state, began), PyLong_FromVoidPtr(self)), put(&SLOT(state, module), Py_NewRef(module));
        PyObject *row = row_of(f);
        bad = !row || call_row(row);
        if (!bad) put(&SLOT(state, root), Py_NewRef(row));
        Py_XDECREF(row);
        bad = bad || hook_end(f, state, module);
        put(&SLOT(state, start), PyLong_FromLongLong(atomic_load(&gradlint_live)));
    }
    if (bad) fault(f);
    put(&SLOT(state, busy), Py_NewRef(Py_False));
}

/* Forwards._before */
static PyObject *before_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    Forwards *f = ((Before *)self)->forwards;
    if (PyVectorcall_NARGS(flags) != 2) return PyErr_Format(PyExc_TypeError, "a module and its arguments are wanted");
    int no = says(f->is_compiling);
    PyObject *state = no ? NULL : state_of(f->threads);
    no = no || !state || SLOT(state, busy) == Py_True || SLOT(state, root) != Py_None;
    if (!no) {
        int odd = says(f->modes) || PyObject_Size(SLOT(state, statements)) || SLOT(state, made) != Py_None ||
                  number(SLOT(state, suspending)) || !quick(f) ||
                  (PyDict_GET_SIZE(f->running) > 1 && !says(f->alone));
        if (odd && !PyErr_Occurred()) {
            Py_DECREF(state);
            return PyObject_Vectorcall(f->before, args, flags & ~PY_VECTORCALL_ARGUMENTS_OFFSET, names);
        }
        if (!says(f->tracing) && !says(f->transforming)) begin(f, (Before *)self, state, args[0]);
    }
    Py_XDECREF(state);
    if (PyErr_Occurred()) fault(f);
    Py_RETURN_NONE;
}

/* Forwards._gone: torch's frame that began a forward lets go of our hook; early, to call a hook of the module's. */
static void before_free(PyObject *self) {
    Before *b = (Before *)self;
    if (b->weak) PyObject_ClearWeakRefs(self);
    if (b->began && b->forwards->on) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        PyFrameObject *frame = PyEval_GetFrame();
        PyCodeObject *code = frame ? PyFrame_GetCode(frame) : NULL;
        if (!code || PyUnicode_CompareWithASCIIString(code->co_name, "inner")) {
            PyObject *address = PyLong_FromVoidPtr(self), *done = PyObject_CallOneArg(b->forwards->gone, address);
            Py_XDECREF(address);
            if (!done) fault(b->forwards);
            Py_XDECREF(done);
        }
        Py_XDECREF(code);
        PyErr_Restore(type, value, trace);
    }
    Py_DECREF(b->forwards);
    PyObject_Free(self);
}

static PyTypeObject BeforeType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Before", .tp_basicsize = sizeof(Before),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Before, call), .tp_weaklistoffset = offsetof(Before, weak),
    .tp_dealloc = before_free};

/* Take an entry out of one of a module's tables; that it is not there is no error. */
static void take_out(PyObject *module, PyObject *name, PyObject *key) {
    PyObject *table = PyObject_GetAttr(module, name);
    if (!table || PyObject_DelItem(table, key)) PyErr_Clear();
    Py_XDECREF(table);
}

/* tokens.fasten */
static int fasten(Forwards *f, PyObject *graph, PyObject *result, PyObject *token) {
    PyObject *theirs = PyObject_GetAttr(result, name_backward_hooks), *done = NULL;
    if (theirs == Py_None) {
        PyObject *hooks = PyDict_New();
        int bad = !hooks || PyDict_SetItem(hooks, f->key, token) || PyObject_SetAttr(result, name_backward_hooks, hooks);
        if (!bad) {
            done = PyObject_CallMethodOneArg(graph, name_register_hook_dict, result);
            if (!done) PyErr_Clear();  /* another version of torch: the way below */
            if (PyObject_SetAttr(result, name_backward_hooks, Py_None)) Py_CLEAR(done);
        }
        Py_XDECREF(hooks);
    }
    if (!done && !PyErr_Occurred()) done = PyObject_CallMethodOneArg(graph, name_register_prehook, token);
    Py_XDECREF(theirs), Py_XDECREF(done);
    return done ? 0 : -1;
}

/* tokens.hang */
static int hang(Forwards *f, PyObject *row, PyObject *result, PyObject *start) {
    int64_t *words = words_of(row);
    if ((PyObject *)Py_TYPE(result) != f->tensor || !words) {
        PyObject *done = PyObject_CallFunctionObjArgs(f->hang, f->tracer, row, result, f->counted ? Py_None : start, NULL);
        Py_XDECREF(done);
        return done ? 0 : -1;
    }
    PyObject *graph = PyObject_GetAttr(result, name_grad_fn);
    if (!graph || graph == Py_None) {
        Py_XDECREF(graph);
        return graph ? 0 : -1;
    }
    int64_t size = 0;
    if (!f->counted) {
        size = atomic_load(&gradlint_live) - number(start);
        PyObject *here = PyObject_GetAttr(result, name_is_cpu);
        PyObject *bytes = here == Py_True ? PyObject_GetAttr(result, name_nbytes) : NULL;
        size -= number(bytes);
        Py_XDECREF(here), Py_XDECREF(bytes);
    }
    PyObject *token = new_token(row, words, size > 0 ? size : 0);
    int bad = !token || fasten(f, graph, result, token);
    Py_XDECREF(token), Py_DECREF(graph);
    return bad ? -1 : 0;
}

/* Forwards._ends */
static int ends(Forwards *f, struct log *log, PyObject *state, PyObject *result) {
    enum { PAUSE = 5000000, LONG = 20000000 };  /* ns, as in tracer.py */
    PyObject *row = SLOT(state, root);
    if (row == Py_None) return 0;
    SLOT(state, root) = Py_NewRef(Py_None);
    int64_t *words = log->words.buf;
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock);
    int64_t quiet = (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec - words[LAST];
    PyObject *done = Py_None;
    if (quiet > LONG || (quiet > PAUSE && atomic_load(&gradlint_peak) > words[MOST])) {
        done = PyObject_CallFunctionObjArgs(f->ended, state, SLOT(row, site), NULL);
        Py_XDECREF(done);
    }
    int bad = !done || hang(f, row, result, SLOT(state, start));
    Py_DECREF(row);
    return bad;
}

/* Forwards.over */
static PyObject *end_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    Forwards *f = ((End *)self)->forwards;
    PyObject *state = PyVectorcall_NARGS(flags) == 3 ? state_of(f->threads) : NULL;
    if (state && SLOT(state, end) == self) {  /* else it is another thread's forward of the same module */
        struct log *log = args[2] == Py_None || SLOT(state, busy) == Py_True ? NULL : quick(f);
        if (log) {
            take_out(args[0], name_forward_hooks, ((End *)self)->key);
            take_out(args[0], name_always_called, ((End *)self)->key);
            put(&SLOT(state, began), Py_NewRef(Py_None)), put(&SLOT(state, module), Py_NewRef(Py_None));
            put(&SLOT(state, busy), Py_NewRef(Py_True));
            PyObject *watching = PyDict_GetItemWithError(f->hooks, f->key) ? Py_NewRef(Py_None) : hook((PyObject *)f, NULL);
            int bad = !watching || (watching != Py_None && PyObject_SetItem(f->hooks, f->key, watching));
            if (!f->on && !PyErr_Occurred() && PyObject_DelItem(f->hooks, f->key)) PyErr_Clear();  /* removed meanwhile */
            Py_XDECREF(watching);
            if (ends(f, log, state, args[2]) || bad) fault(f);
            put(&SLOT(state, busy), Py_NewRef(Py_False));
        } else {
            PyObject *done = PyObject_CallFunctionObjArgs(f->over, state, self, args[0], args[2], NULL);
            if (!done) fault(f);
            Py_XDECREF(done);
        }
    }
    Py_XDECREF(state);
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* A model that is copied or stored inside its forward takes along something that does nothing, as in forwards.py. */
static PyObject *end_reduce(PyObject *self, PyObject *nothing) {
    PyObject *built = PyImport_ImportModule("builtins"), *lib = PyImport_ImportModule("contextlib");
    PyObject *get = built ? PyObject_GetAttrString(built, "getattr") : NULL;
    PyObject *null = lib ? PyObject_CallMethod(lib, "nullcontext", NULL) : NULL;
    PyObject *result = get && null ? Py_BuildValue("O(Os)", get, null, "__exit__") : NULL;
    Py_XDECREF(built), Py_XDECREF(lib), Py_XDECREF(get), Py_XDECREF(null);
    return result;
}

static int end_visit(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((End *)self)->forwards);
    return 0;
}

static int end_clear(PyObject *self) { return 0; }  /* what it holds breaks the circle */

static void end_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_DECREF(((End *)self)->forwards), Py_DECREF(((End *)self)->key);
    PyObject_GC_Del(self);
}

static PyMethodDef end_methods[] = {{"__reduce__", end_reduce, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyMemberDef end_members[] = {{"key", T_OBJECT, offsetof(End, key), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
static PyTypeObject EndType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.End", .tp_basicsize = sizeof(End),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(End, call), .tp_methods = end_methods, .tp_members = end_members,
    .tp_traverse = end_visit, .tp_clear = end_clear, .tp_dealloc = end_free};

/* A hook for all modules. */
static PyObject *hook(PyObject *self, PyObject *nothing) {
    Before *made = PyObject_New(Before, &BeforeType);
    if (!made) return NULL;
    made->call = before_call, made->weak = NULL, made->began = 0;
    made->forwards = (Forwards *)Py_NewRef(self);
    return (PyObject *)made;
}

/* A thread's hook on the module whose forward it runs, under this key. */
static PyObject *end(PyObject *self, PyObject *key) {
    End *made = PyObject_GC_New(End, &EndType);
    if (!made) return NULL;
    made->call = end_call, made->forwards = (Forwards *)Py_NewRef(self), made->key = Py_NewRef(key);
    PyObject_GC_Track(made);
    return (PyObject *)made;
}

static PyObject *stop(PyObject *self, PyObject *nothing) {
    ((Forwards *)self)->on = 0;
    Py_RETURN_NONE;
}

static int forwards_visit(PyObject *self, visitproc visit, void *arg) {
    for (const struct field *f = forwards_fields; f->name; f++) Py_VISIT(*(PyObject **)((char *)self + f->offset));
    return 0;
}

static int forwards_clear(PyObject *self) {
    ((Forwards *)self)->on = 0;
    let_fields_go(self, forwards_fields);
    return 0;
}

static void forwards_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    let_fields_go(self, forwards_fields);
    PyObject_GC_Del(self);
}

static PyMethodDef forwards_methods[] = {
    {"hook", hook, METH_NOARGS, NULL}, {"end", end, METH_O, NULL}, {"stop", stop, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyTypeObject ForwardsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Forwards", .tp_basicsize = sizeof(Forwards),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_methods = forwards_methods,
    .tp_traverse = forwards_visit, .tp_clear = forwards_clear, .tp_dealloc = forwards_free};

/* The watch over forwards, given what it works with; ``counted`` as in forwards.py. */
PyObject *gradlint_forwards(PyObject *given, int counted) {
    Forwards *made = PyObject_GC_New(Forwards, &ForwardsType);
    if (!made) return NULL;
    memset((char *)made + sizeof(PyObject), 0, sizeof *made - sizeof(PyObject));
    made->on = 1, made->counted = counted;
    PyObject_GC_Track(made);
    if (!keep((PyObject *)made, forwards_fields, given)) return (PyObject *)made;
    Py_DECREF(made);
    return NULL;
}
