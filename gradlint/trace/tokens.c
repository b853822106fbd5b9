/* What hangs on the graph of a forward's result, in C: see hooks.c, which includes this, and tokens.py. */

typedef struct { PyObject_HEAD vectorcallfunc call; PyObject *row; int64_t size; int used; } Token;

/* A row's counters: NULL if they are not in the log any more. */
static int64_t *words_of(PyObject *row) {
    PyObject *words = SLOT(row, words);
    if (!words || !PyMemoryView_Check(words)) return NULL;
    return PyMemoryView_GET_BUFFER(words)->buf;
}

enum { SAVED, WASTED, CALLS, WASTED_CALLS, ALIVE, HIGHEST, RISES, GRAPHS };  /* as in rows.py, whose MOST is HIGHEST */

static PyObject *token_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names) {
    Token *token = (Token *)self;
    int64_t *words = token->used ? NULL : words_of(token->row);
    token->used = 1;
    if (words) words[GRAPHS]--, words[ALIVE] -= token->size;
    Py_RETURN_NONE;
}

static void token_free(PyObject *self) {
    Token *token = (Token *)self;
    int64_t *words = token->used ? NULL : words_of(token->row);
    if (words) words[GRAPHS]--, words[WASTED_CALLS]++, words[ALIVE] -= token->size, words[WASTED] += token->size;
    Py_XDECREF(token->row);
    PyObject_Free(self);
}

static PyTypeObject TokenType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gradlint.trace.Token", .tp_basicsize = sizeof(Token),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Token, call), .tp_dealloc = token_free};

static PyObject *new_token(PyObject *row, int64_t *words, int64_t size) {
    Token *token = PyObject_New(Token, &TokenType);
    if (!token) return NULL;
    token->call = token_call, token->row = Py_NewRef(row), token->size = size, token->used = 0;
    words[GRAPHS]++, words[SAVED] += size, words[ALIVE] += size;
    if (words[ALIVE] > words[HIGHEST]) words[HIGHEST] = words[ALIVE];
    return (PyObject *)token;
}
