/* What the tracer does in every step of a program, in C: the methods of grad modes that torch uses for itself, and the
   beginning and end of a root module's forward with what hangs on its graph. Where a step finds caches cold, Python
   code costs three times what it costs in a loop of its own.

   Each function does the ordinary case, and leaves every other to the Python function of the same meaning (in
   patches.py, forwards.py, tokens.py), which also does the ordinary case where this cannot be compiled. Objects of
   ours are read where their classes' slots are. Included by counter.c; all of it runs under the GIL. */

#include <stddef.h>

static PyObject *name_state, *name_forward_hooks, *name_always_called, *name_log, *name_swift, *name_alone, *name_nbytes;
static PyObject *name_is_cpu, *name_grad_fn, *name_register_prehook, *name_register_hook_dict, *name_backward_hooks;

/* Where slots are in instances of ThreadState, Row and Open. */
static struct {
    Py_ssize_t busy, mode, internal, stack, root, start, began, module, end, made, statements, suspending;
    Py_ssize_t words, left, site;
    Py_ssize_t key;
} at;

#define SLOT(object, slot) (*(PyObject **)((char *)(object) + at.slot))

/* Store a new reference; None if it could not be made. */
static void put(PyObject **slot, PyObject *value) {
    PyObject *old = *slot;
    if (!value) PyErr_Clear(), value = Py_NewRef(Py_None);
    *slot = value;
    Py_XDECREF(old);
}

static int find(PyObject *type, const char *name, Py_ssize_t *offset) {
    PyObject *member = PyObject_GetAttrString(type, name);
    if (!member) return -1;
    int good = Py_IS_TYPE(member, &PyMemberDescr_Type);
    if (good) *offset = ((PyMemberDescrObject *)member)->d_member->offset;
    else PyErr_Format(PyExc_TypeError, "%s is no slot", name);
    Py_DECREF(member);
    return good ? 0 : -1;
}

/* What the running thread is known to do; a new reference. */
static PyObject *state_of(PyObject *threads) { return PyObject_GetAttr(threads, name_state); }

static int64_t number(PyObject *given) { return given && PyLong_Check(given) ? PyLong_AsLongLong(given) : 0; }

/* Whether a function says yes; -1 if it raised. */
static int says(PyObject *function) {
    PyObject *answer = PyObject_CallNoArgs(function);
    if (!answer) return -1;
    int yes = answer == Py_True || (answer != Py_False && answer != Py_None && PyObject_IsTrue(answer));
    Py_DECREF(answer);
    return yes;
}

/* The grad mode, as torch_api.mode has it; -1 if it could not be had. */
static int mode_now(PyObject *inference, PyObject *enabled) {
    int yes = says(inference);
    return yes < 0 ? -1 : yes ? 2 : says(enabled);
}

/* Attributes of an object that are kept in fields. */
struct field { const char *name; Py_ssize_t offset; };

static int keep(PyObject *self, const struct field *fields, PyObject *given) {
    for (; fields->name; fields++) {
        PyObject *value = PyObject_GetAttrString(given, fields->name);
        if (!value) return -1;
        *(PyObject **)((char *)self + fields->offset) = value;
    }
    return 0;
}

static void let_fields_go(PyObject *self, const struct field *fields) {
    for (; fields->name; fields++) Py_CLEAR(*(PyObject **)((char *)self + fields->offset));
}

#include "modes.c"
#include "tokens.c"
#include "forwards.c"

static int names_made(void) {
    const struct { PyObject **name; const char *text; } all[] = {
        {&name_state, "state"}, {&name_forward_hooks, "_forward_hooks"}, {&name_log, "log"}, {&name_swift, "swift"},
        {&name_always_called, "_forward_hooks_always_called"}, {&name_alone, "alone"}, {&name_nbytes, "nbytes"},
        {&name_is_cpu, "is_cpu"}, {&name_grad_fn, "grad_fn"}, {&name_register_prehook, "register_prehook"},
        {&name_register_hook_dict, "_register_hook_dict"}, {&name_backward_hooks, "_backward_hooks"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!*all[i].name && !(*all[i].name = PyUnicode_InternFromString(all[i].text))) return 0;
    return 1;
}

/* Get ready, given the classes whose instances are read; to be called before all else. */
PyObject *gradlint_prepare(PyObject *state, PyObject *row, PyObject *open) {
    PyTypeObject *types[] = {&MethodType, &TokenType, &BeforeType, &EndType, &ForwardsType};
    const struct { PyObject *type; const char *name; Py_ssize_t *offset; } all[] = {
        {state, "busy", &at.busy}, {state, "mode", &at.mode}, {state, "internal", &at.internal}, {state, "stack", &at.stack},
        {state, "root", &at.root}, {state, "start", &at.start}, {state, "began", &at.began}, {state, "module", &at.module},
        {state, "end", &at.end}, {state, "made", &at.made}, {state, "statements", &at.statements},
        {state, "suspending", &at.suspending}, {row, "words", &at.words}, {row, "left", &at.left}, {row, "site", &at.site},
        {open, "key", &at.key}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) if (PyType_Ready(types[i]) < 0) return NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) if (find(all[i].type, all[i].name, all[i].offset)) return NULL;
    if (!names_made()) return NULL;
    Py_RETURN_NONE;
}
