/* Forwards of root modules as they begin and end, in C: see hooks.c, which includes this, and forwards.py.

   Torch's modules are called through one Python function, `Module._call_impl`. How such an object is called is a pointer
   in it, which CPython offers for such ends (PyFunction_SetVectorcall): we put ourselves in front there. Nothing that
   Python code can see changes, torch.compile finds what it knows, tracebacks have no frame of ours. */

typedef struct {
    PyObject_HEAD
    PyObject *tracing, *call, *flags, *ways, *tensor;
    PyObject *begins, *first, *ended, *hang;  /* of Python */
    PyObject *is_compiling, *tracing_now, *transforming, *modes, *unreal;
    int counted;
} Forwards;

static const struct field forwards_fields[] = {
    FIELD(Forwards, tracing), FIELD(Forwards, call), FIELD(Forwards, flags), FIELD(Forwards, ways),
    FIELD(Forwards, tensor), FIELD(Forwards, begins), FIELD(Forwards, first),
    FIELD(Forwards, ended), FIELD(Forwards, hang), FIELD(Forwards, is_compiling), FIELD(Forwards, tracing_now),
    FIELD(Forwards, transforming), FIELD(Forwards, modes), FIELD(Forwards, unreal), {NULL, 0}};

static Forwards *watcher;  /* there is one; what more tracers run at the same time use hooks of torch's */
static vectorcallfunc its_own;  /* how `_call_impl` is called without us; NULL where we are not in front of it */

/* Places.way: the mode, and the lines of the program that led here; a new reference. */
static PyObject *way(Tracing *t, PyFrameObject *frame, int mode) {
    enum { LINES = 5, USER = 0 };
    uintptr_t found[1 + 2 * LINES] = {(uintptr_t)mode};
    int count = 1, kind = 0;
    Py_INCREF(frame);
    while (frame && kind >= 0 && count < 1 + 2 * LINES) {
        PyObject *code = (PyObject *)PyFrame_GetCode(frame);
        kind = kind_of(t, code);
        if (kind == USER) found[count++] = (uintptr_t)code, found[count++] = (uintptr_t)PyFrame_GetLasti(frame);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(code), Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return kind < 0 ? NULL : PyBytes_FromStringAndSize((char *)found, count * (Py_ssize_t)sizeof *found);
}

/* The row of the line that calls a module just now; a new reference. */
static PyObject *row_of(Forwards *f, PyFrameObject *frame) {
    Tracing *t = (Tracing *)f->tracing;
    int mode = mode_now(t);
    PyObject *key = mode >= 0 ? way(t, frame, mode) : NULL;
    PyObject *row = key ? Py_XNewRef(PyDict_GetItemWithError(f->ways, key)) : NULL;
    if (!row && key && !PyErr_Occurred()) row = PyObject_CallFunction(f->first, "OiO", key, mode, frame);
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

/* Whether operations run for real on this thread, as forwards.py asks; -1 if that could not be told. */
static int real(Forwards *f) {
    PyObject *flag = PyDict_GetItemWithError(f->flags, name_compiling);
    int no = flag ? flag != Py_False : says(f->is_compiling);
    if (!no) no = says(f->tracing_now);
    if (!no) no = says(f->transforming);
    if (!no && (torch_says.dispatch ? torch_says.dispatch() != 0 : says(f->modes))) no = says(f->unreal);
    return PyErr_Occurred() ? -1 : !no;
}

/* Records.live */
static int64_t live_now(Tracing *t) {
    if (SLOT(t->records, alone) == Py_True) return atomic_load(&gradlint_live);
    PyObject *live = PyObject_CallMethodNoArgs(t->records, name_live);
    int64_t found = number(live);
    Py_XDECREF(live);
    return found;
}

/* A root module's forward may begin on a thread; whether it does. */
static int begins(Forwards *f, PyObject *state, PyFrameObject *frame) {
    Tracing *t = (Tracing *)f->tracing;
    put(&SLOT(state, busy), Py_NewRef(Py_True));
    int good = real(f);
    if (good > 0 && (SLOT(state, made) != Py_None || PyList_GET_SIZE(SLOT(state, statements)) ||
                     number(SLOT(state, suspending)))) {
        PyObject *done = PyObject_CallOneArg(f->begins, state);
        good = done ? 1 : -1;
        Py_XDECREF(done);
    }
    PyObject *row = good > 0 ? row_of(f, frame) : NULL;
    int begun = row && !call_row(row);
    if (begun) {
        put(&SLOT(state, start), PyLong_FromLongLong(live_now(t)));
        put(&SLOT(state, root), Py_NewRef(row));
    }
    Py_XDECREF(row);
    if (PyErr_Occurred()) fault(t);
    put(&SLOT(state, busy), Py_NewRef(Py_False));
    return begun;
}

/* tokens.fasten */
static int fasten(PyObject *graph, PyObject *result, PyObject *token) {
    PyObject *theirs = PyObject_GetAttr(result, name_backward_hooks), *done = NULL;
    if (theirs == Py_None) {
        PyObject *hooks = PyDict_New();
        PyObject *key = PyLong_FromLong(0);
        int bad = !hooks || !key || PyDict_SetItem(hooks, key, token) || PyObject_SetAttr(result, name_backward_hooks, hooks);
        if (!bad) {
            done = PyObject_CallMethodOneArg(graph, name_register_hook_dict, result);
            if (!done) PyErr_Clear();  /* another version of torch: the way below */
            if (PyObject_SetAttr(result, name_backward_hooks, Py_None)) Py_CLEAR(done);
        }
        Py_XDECREF(hooks), Py_XDECREF(key);
    }
    if (!done && !PyErr_Occurred()) done = PyObject_CallMethodOneArg(graph, name_register_prehook, token);
    Py_XDECREF(theirs), Py_XDECREF(done);
    return done ? 0 : -1;
}

/* tokens.hang */
static int hang(Forwards *f, PyObject *row, PyObject *result, PyObject *start) {
    Tracing *t = (Tracing *)f->tracing;
    int64_t *words = words_of(row);
    if ((PyObject *)Py_TYPE(result) != f->tensor || !words || SLOT(t->records, alone) != Py_True) {
        PyObject *done = PyObject_CallFunctionObjArgs(f->hang, t->records, row, result, f->counted ? Py_None : start, NULL);
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
    int bad = !token || fasten(graph, result, token);
    Py_XDECREF(token), Py_DECREF(graph);
    return bad ? -1 : 0;
}

/* Records.forward */
static int recorded(Forwards *f, PyObject *state, PyObject *site) {
    enum { PAUSE = 5000000, LONG = 20000000 };  /* ns, as in records.py */
    struct log *log = quick((Tracing *)f->tracing);
    if (log) {
        int64_t *words = log->words.buf, quiet = clock_now() - words[LAST];
        if (quiet <= PAUSE || (quiet <= LONG && atomic_load(&gradlint_peak) <= words[MOST])) return 0;
        int mode = mode_now((Tracing *)f->tracing);
        if (mode >= 0 && may_record((Tracing *)f->tracing, state) &&
            append(log, (uint32_t)number(site), (uint16_t)number(SLOT(state, lane)), (uint8_t)(mode * 5), KIND_FORWARD))
            return 0;
        if (PyErr_Occurred()) return -1;
    }
    PyObject *done = PyObject_CallFunctionObjArgs(f->ended, state, site, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Forwards.ends; the result is NULL if it raised. */
static void ends(Forwards *f, PyObject *state, PyObject *result) {
    PyObject *row = SLOT(state, root);
    SLOT(state, root) = Py_NewRef(Py_None);
    if (row != Py_None && result && result != Py_None) {
        put(&SLOT(state, busy), Py_NewRef(Py_True));
        if (recorded(f, state, SLOT(row, site)) || hang(f, row, result, SLOT(state, start))) fault((Tracing *)f->tracing);
        put(&SLOT(state, busy), Py_NewRef(Py_False));
    }
    Py_DECREF(row);
}

/* In the place of what calls `_call_impl`; most calls are of modules inside others. */
static PyObject *module_called(PyObject *function, PyObject *const *args, size_t flags, PyObject *names) {
    Forwards *f = watcher;
    vectorcallfunc original = its_own;  /* what follows may let other threads run, and take us away */
    PyObject *state = f ? state_of((Tracing *)f->tracing) : NULL;
    if (f && !state) PyErr_Clear();
    PyFrameObject *frame =
        state && SLOT(state, root) == Py_None && SLOT(state, busy) == Py_False ? PyEval_GetFrame() : NULL;
    if (!frame) return original(function, args, flags, names);
    Py_INCREF(f), Py_INCREF(state), Py_INCREF(frame);
    int begun = begins(f, state, frame);
    Py_DECREF(frame);
    PyObject *result = original(function, args, flags, names);
    if (begun) ends(f, state, result);
    Py_DECREF(state), Py_DECREF(f);
    return result;
}

static void call_through(PyObject *function, vectorcallfunc how) {
#if PY_VERSION_HEX >= 0x030C0000
    PyFunction_SetVectorcall((PyFunctionObject *)function, how);
#else
    ((PyFunctionObject *)function)->func_version = 0;  /* as that does: what was specialised for it looks again */
    ((PyFunctionObject *)function)->vectorcall = how;
#endif
}

/* Begin to watch; False if it cannot be done. */
static PyObject *start(PyObject *self, PyObject *nothing) {
    PyObject *function = ((Forwards *)self)->call;
    if (watcher || !PyFunction_Check(function)) Py_RETURN_FALSE;
    if (!its_own) {
        its_own = ((PyFunctionObject *)function)->vectorcall;
        call_through(function, module_called);
    }
    watcher = (Forwards *)Py_NewRef(self);
    Py_RETURN_TRUE;
}

/* Watch no more. */
static PyObject *stop(PyObject *self, PyObject *nothing) {
    PyObject *function = ((Forwards *)self)->call;
    if (watcher != (Forwards *)self) Py_RETURN_NONE;
    watcher = NULL;
    if (((PyFunctionObject *)function)->vectorcall == module_called) {  /* else somebody is in front of us */
        call_through(function, its_own);
        its_own = NULL;
    }
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static int forwards_visit(PyObject *self, visitproc visit, void *arg) {
    return visit_fields(self, forwards_fields, visit, arg);
}

static int forwards_clear(PyObject *self) {
    let_fields_go(self, forwards_fields);
    return 0;
}

static void forwards_free(PyObject *self) {
    PyObject_GC_UnTrack(self);
    let_fields_go(self, forwards_fields);
    PyObject_GC_Del(self);
}

static PyMethodDef forwards_methods[] = {
    {"start", start, METH_NOARGS, NULL}, {"stop", stop, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyTypeObject ForwardsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Forwards", .tp_basicsize = sizeof(Forwards),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_methods = forwards_methods,
    .tp_traverse = forwards_visit, .tp_clear = forwards_clear, .tp_dealloc = forwards_free};

/* The watch over forwards, given what it works with; ``counted`` as in forwards.py. */
PyObject *gradlint_forwards(PyObject *given, int counted) {
    Forwards *made = (Forwards *)filled(&ForwardsType, forwards_fields, given);
    if (made) made->counted = counted;
    return (PyObject *)made;
}
