/* Grad modes watched through sys.monitoring, in C: see hooks.c, which includes this, and monitoring.py, whose functions
   of the same names do the same. Python calls them with a code, where it is and, at the end, what it returns. */

#if PY_VERSION_HEX >= 0x030C0000
enum { THROUGH = 2 };  /* as in places.py */

/* The method whose code this is. */
static Method *watched_method(PyObject *methods, PyObject *code) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(methods); i++) {
        Method *m = (Method *)PyTuple_GET_ITEM(methods, i);
        if (m->original == code) return m;
    }
    return NULL;
}

/* The thread's state, a new reference; NULL while it does what is ours. */
static PyObject *idle_state(Method *m) {
    PyObject *state = m ? state_of((Tracing *)m->tracing) : NULL;
    if (state && SLOT(state, busy) != Py_True) return Py_NewRef(state);
    PyErr_Clear();
    return NULL;
}

/* Whether a frame runs that code, or is a wrapper which another tracer has put between. */
static int called_by(Tracing *t, PyFrameObject *frame, PyObject *sought) {
    for (Py_INCREF(frame); frame;) {
        PyObject *code = (PyObject *)PyFrame_GetCode(frame);
        int kind = code == sought ? -1 : kind_of(t, code);
        Py_DECREF(code);
        PyFrameObject *back = kind < 0 || (kind & ~CLOSED) != THROUGH ? NULL : PyFrame_GetBack(frame);
        Py_DECREF(frame), frame = back;
        if (code == sought) return 1;
    }
    return 0;
}

/* The mode before it runs; -1 if torch calls it for itself. */
static int mode_before(Method *m, PyObject *state, PyFrameObject *frame, PyFrameObject *caller) {
    if (m->which != EXIT) return for_torch(m, caller) ? -1 : mode_now((Tracing *)m->tracing);
    PyObject *object = PyFrame_GetVarString(frame, "self");
    int ours = object && opened(SLOT(state, stack), object);
    Py_XDECREF(object);
    return ours ? mode_now((Tracing *)m->tracing) : -1;
}

static PyObject *started(PyObject *methods, PyObject *const *args, Py_ssize_t count) {
    Method *m = watched_method(methods, args[0]);
    PyObject *state = idle_state(m);
    if (!state) Py_RETURN_NONE;
    PyFrameObject *frame = PyEval_GetFrame(), *caller = frame ? PyFrame_GetBack(frame) : NULL;
    PyObject *running = SLOT(state, watched);
    int nested = !caller || (running != Py_None && called_by((Tracing *)m->tracing, caller, running));
    if (!nested && !PyErr_Occurred()) {  /* one that runs but did not call this one has raised: it is passed over */
        put(&SLOT(state, watched), Py_NewRef(args[0]));
        put(&SLOT(state, mode_before), PyLong_FromLong(mode_before(m, state, frame, caller)));
    }
    if (PyErr_Occurred()) fault((Tracing *)m->tracing);
    Py_XDECREF(caller), Py_DECREF(state);
    Py_RETURN_NONE;
}

/* What has returned was called by the program. */
static void tell_return(Method *m, PyObject *state) {
    put(&SLOT(state, busy), Py_NewRef(Py_True));
    PyFrameObject *frame = PyEval_GetFrame(), *caller = frame ? PyFrame_GetBack(frame) : NULL;
    PyObject *object = caller ? PyFrame_GetVarString(frame, "self") : NULL;
    if (object) tell(m, state, object, (int)number(SLOT(state, mode_before)), caller);
    else if (PyErr_Occurred()) fault((Tracing *)m->tracing);
    Py_XDECREF(object), Py_XDECREF(caller);
    put(&SLOT(state, busy), Py_NewRef(Py_False));
}

static PyObject *returned(PyObject *methods, PyObject *const *args, Py_ssize_t count) {
    Method *m = watched_method(methods, args[0]);
    PyObject *state = idle_state(m);
    if (!state) Py_RETURN_NONE;
    int outermost = SLOT(state, watched) == args[0];
    if (outermost) put(&SLOT(state, watched), Py_NewRef(Py_None));
    if (outermost && number(SLOT(state, mode_before)) < 0) count_internal((Tracing *)m->tracing, state);
    else if (outermost || m->which == DECORATE) tell_return(m, state);
    Py_DECREF(state);
    Py_RETURN_NONE;
}

static PyMethodDef started_definition = {"started", (PyCFunction)(void (*)(void))started, METH_FASTCALL, NULL};
static PyMethodDef returned_definition = {"returned", (PyCFunction)(void (*)(void))returned, METH_FASTCALL, NULL};

/* What is to be called when one of these methods starts, and when it returns. */
PyObject *gradlint_watch(PyObject *methods) {
    return Py_BuildValue("(NN)", PyCFunction_New(&started_definition, methods),
                         PyCFunction_New(&returned_definition, methods));
}
#endif
