/* One send() for each of many sockets, without Python in between. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#endif

struct pending_send {
    int file;
    const char *data;
    Py_ssize_t size;
    Py_ssize_t sent;
};

/* Reads what is to be done from tuples, which nobody can change meanwhile; false with an exception set. */
static int read_sends(struct pending_send *sends, PyObject *files, PyObject *chunks) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(files); index++) {
        struct pending_send *each = &sends[index];
        char *data;
        long file = PyLong_AsLong(PyTuple_GET_ITEM(files, index));
        if (file == -1 && PyErr_Occurred())
            return 0;
        if (file < -1 || file > INT_MAX) {
            PyErr_SetString(PyExc_ValueError, "A file descriptor is -1 or an int of C's");
            return 0;
        }
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(chunks, index), &data, &each->size) < 0)
            return 0;
        each->file = (int)file;
        each->data = data;
    }
    return 1;
}

static void send_all(struct pending_send *sends, Py_ssize_t count) {
    for (struct pending_send *each = sends; each < sends + count; each++) {
        ssize_t sent = each->file < 0 ? 0 : send(each->file, each->data, (size_t)each->size, MSG_DONTWAIT | MSG_NOSIGNAL);
        each->sent = sent < 0 ? 0 : sent; /* whatever the error is, the transport meets it again */
    }
}

static PyObject *unfinished(const struct pending_send *sends, Py_ssize_t count) {
    PyObject *found = PyList_New(0);
    for (Py_ssize_t index = 0; found != NULL && index < count; index++) {
        if (sends[index].sent == sends[index].size)
            continue;
        PyObject *pair = Py_BuildValue("nn", index, sends[index].sent);
        if (pair == NULL || PyList_Append(found, pair) < 0)
            Py_CLEAR(found);
        Py_XDECREF(pair);
    }
    return found;
}

static PyObject *send_tuples(PyObject *files, PyObject *chunks) {
    Py_ssize_t count = PyTuple_GET_SIZE(files);
    if (count != PyTuple_GET_SIZE(chunks)) {
        PyErr_SetString(PyExc_ValueError, "There must be one chunk for each file descriptor");
        return NULL;
    }
    struct pending_send *sends = PyMem_New(struct pending_send, count);
    if (sends == NULL)
        return PyErr_NoMemory();
    PyObject *result = NULL;
    if (read_sends(sends, files, chunks)) {
        Py_BEGIN_ALLOW_THREADS
        send_all(sends, count);
        Py_END_ALLOW_THREADS
        result = unfinished(sends, count);
    }
    PyMem_Free(sends);
    return result;
}

PyDoc_STRVAR(send_each_doc,
"send_each(files, chunks, /)\n--\n\n"
"Send each chunk on the socket of the file descriptor at the same index (-1: on none), without waiting for any.\n\n"
"Returns (index, bytes sent) of those that were not sent whole, whatever the reason. Raises ValueError for lists of\n"
"different length, and TypeError for a chunk that is not bytes; nothing was sent then.");

static PyObject *send_each(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "send_each() takes files and chunks");
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *files = PySequence_Tuple(arguments[0]);
    PyObject *chunks = files == NULL ? NULL : PySequence_Tuple(arguments[1]);
    if (chunks != NULL)
        result = send_tuples(files, chunks);
    Py_XDECREF(files);
    Py_XDECREF(chunks);
    return result;
}

static PyMethodDef functions[] = {
    {"send_each", (PyCFunction)(void (*)(void))send_each, METH_FASTCALL, send_each_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    return PyModule_Create(&definition);
}
