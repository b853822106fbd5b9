/* What the tracer does in every step of a program, in C: the methods of grad modes, and the beginning and end of a root
   module's forward with what hangs on its graph. Where a step finds caches cold, Python code costs three times what it
   costs in a loop of its own.

   Each function does the ordinary case, and leaves every other to the Python function of the same meaning (in
   tracer.py, records.py, forwards.py, tokens.py), which also does the ordinary case where this cannot be compiled.
   Objects of ours are read where their classes' slots are. Included by counter.c; all of it runs under the GIL. */

#include <stddef.h>

static PyObject *name_state, *name_compiling, *name_nbytes, *name_is_cpu, *name_grad_fn, *name_register_prehook;
static PyObject *name_register_hook_dict, *name_backward_hooks, *name_locked, *name_live, *name_discover;

/* Where slots are in instances of ThreadState, Row, Open, Records, Log. */
static struct {
    Py_ssize_t busy, mode, internal, stack, root, start, made, statements, suspending, lane, task, last_site;
    Py_ssize_t watched, mode_before;
    Py_ssize_t words, left, site;
    Py_ssize_t key, number, place, before, in_task, read, suspends, drives, inherited, parked, ran_under;
    Py_ssize_t alone, more, log, lock;
    Py_ssize_t swift;
} at;
static PyTypeObject *open_type;

#define SLOT(object, slot) (*(PyObject **)((char *)(object) + at.slot))

/* Torch's own functions that tell what the running thread does; NULL where they have other names. */
static struct { _Bool (*grad)(void), (*inference)(void); int64_t (*dispatch)(void); } torch_says;

void gradlint_ask(void *grad, void *inference, void *dispatch) {
    *(void **)&torch_says.grad = grad, *(void **)&torch_says.inference = inference;
    *(void **)&torch_says.dispatch = dispatch;
}

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

static int64_t number(PyObject *given) { return given && PyLong_Check(given) ? PyLong_AsLongLong(given) : 0; }

/* Whether a function says yes; -1 if it raised. */
static int says(PyObject *function) {
    PyObject *answer = PyObject_CallNoArgs(function);
    if (!answer) return -1;
    int yes = answer == Py_True || (answer != Py_False && answer != Py_None && PyObject_IsTrue(answer));
    Py_DECREF(answer);
    return yes;
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

static int visit_fields(PyObject *self, const struct field *fields, visitproc visit, void *arg) {
    for (; fields->name; fields++) Py_VISIT(*(PyObject **)((char *)self + fields->offset));
    return 0;
}

#include "tracing.c"
#include "modes.c"
#include "watch.c"
#include "tokens.c"
#include "forwards.c"

static int names_made(void) {
    const struct { PyObject **name; const char *text; } all[] = {
        {&name_state, "state"}, {&name_compiling, "_is_compiling_flag"}, {&name_nbytes, "nbytes"},
        {&name_is_cpu, "is_cpu"}, {&name_grad_fn, "grad_fn"}, {&name_register_prehook, "register_prehook"},
        {&name_register_hook_dict, "_register_hook_dict"}, {&name_backward_hooks, "_backward_hooks"},
        {&name_locked, "locked"}, {&name_live, "live"}, {&name_discover, "discover"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!*all[i].name && !(*all[i].name = PyUnicode_InternFromString(all[i].text))) return 0;
    return 1;
}

/* Get ready, given the classes whose instances are read; to be called before all else. */
PyObject *gradlint_prepare(PyObject *state, PyObject *row, PyObject *open, PyObject *log) {
    PyTypeObject *types[] = {&TracingType, &MethodType, &TokenType, &ForwardsType};
    const struct { PyObject *type; const char *name; Py_ssize_t *offset; } all[] = {
        {state, "busy", &at.busy}, {state, "mode", &at.mode}, {state, "internal", &at.internal}, {state, "stack", &at.stack},
        {state, "root", &at.root}, {state, "start", &at.start}, {state, "made", &at.made},
        {state, "statements", &at.statements}, {state, "suspending", &at.suspending}, {state, "lane", &at.lane},
        {state, "task", &at.task}, {state, "site", &at.last_site}, {state, "watched", &at.watched},
        {state, "before", &at.mode_before}, {row, "words", &at.words}, {row, "left", &at.left}, {row, "site", &at.site},
        {open, "key", &at.key}, {open, "number", &at.number}, {open, "site", &at.place},
        {open, "before", &at.before}, {open, "task", &at.in_task}, {open, "read", &at.read},
        {open, "suspends", &at.suspends}, {open, "drives", &at.drives}, {open, "inherited", &at.inherited},
        {open, "parked", &at.parked}, {open, "ran_under", &at.ran_under}, {log, "swift", &at.swift}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) if (PyType_Ready(types[i]) < 0) return NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) if (find(all[i].type, all[i].name, all[i].offset)) return NULL;
    if (!names_made()) return NULL;
    Py_XSETREF(open_type, (PyTypeObject *)Py_NewRef(open));
    Py_RETURN_NONE;
}
