/* Twins of the engine's innermost loops, for the plain case of each; the Python code beside them is the reference.
 *
 * All of it is optional (heliogram/_accel.py). A twin does what its Python original does, or hands what is unusual back
 * to it. `twin(name, ...)` gets the classes and objects that a twin works with, learns where their fields are, and
 * returns the twin bound to a Kit: there is no global state. A class that is laid out in another way than by slots is
 * refused with TypeError, and then the Python code does the work.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "a build of Python without the GIL is not supported"
#endif

#define KEPT 30
#define PLACES 80
#define LARGEST_BLOCK 16384 /* frames.DEFAULT_FRAME */
#define LONGEST 1023 /* lengths of paths and values that are ready made in Python (hpack_encoder.LENGTHS) */

typedef struct {
    PyObject_HEAD
    PyObject *kept[KEPT];
    Py_ssize_t at[PLACES];
} Kit;

static int kit_traverse(Kit *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < KEPT; i++) Py_VISIT(self->kept[i]);
    return 0;
}

static int kit_clear(Kit *self) {
    for (int i = 0; i < KEPT; i++) Py_CLEAR(self->kept[i]);
    return 0;
}

static void kit_dealloc(Kit *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)kit_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot kit_slots[] = {
    {Py_tp_traverse, kit_traverse}, {Py_tp_clear, kit_clear}, {Py_tp_dealloc, kit_dealloc}, {0, NULL}};
static PyType_Spec kit_spec = {
    "heliogram._native.Kit", sizeof(Kit), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, kit_slots};

/* The field `at` bytes into an object of a class that `places` has looked at; borrowed, NULL when it is not set. */
#define FIELD(object, at) (*(PyObject **)((char *)(object) + (at)))

/* Where one field is. */
static int place(PyTypeObject *type, PyObject *name, Py_ssize_t *at) {
    PyObject *found = PyObject_GetAttr((PyObject *)type, name);
    if (found == NULL) return -1;
    int good = Py_IS_TYPE(found, &PyMemberDescr_Type);
    if (good) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        good = member->type == T_OBJECT_EX && member->offset >= (Py_ssize_t)sizeof(PyObject) &&
               member->offset + (Py_ssize_t)sizeof(PyObject *) <= type->tp_basicsize &&
               PyType_IsSubtype(type, ((PyMemberDescrObject *)found)->d_common.d_type);
        *at = member->offset;
    }
    Py_DECREF(found);
    if (!good) PyErr_Format(PyExc_TypeError, "%s.%U is no slot", type->tp_name, name);
    return good ? 0 : -1;
}

/* The `kept`th object of a kit is a class: the names of its fields, and where the kit notes their places. `whole`: its
 * objects have nothing else and are not tracked by the collector, so we may make them ourselves. */
typedef struct {
    int kept;
    const char *const *names;
    int at;
    int whole;
} Shape;

static int places(Kit *kit, const Shape *shape) {
    PyTypeObject *type = (PyTypeObject *)kit->kept[shape->kept];
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a class is wanted");
        return -1;
    }
    Py_ssize_t count = 0;
    for (; shape->names[count] != NULL; count++) {
        PyObject *name = PyUnicode_FromString(shape->names[count]);
        int status = name == NULL ? -1 : place(type, name, kit->at + shape->at + count);
        Py_XDECREF(name);
        if (status < 0) return -1;
    }
    Py_ssize_t size = (Py_ssize_t)sizeof(PyObject) + count * (Py_ssize_t)sizeof(PyObject *);
    if (shape->whole && (type->tp_basicsize != size || type->tp_itemsize != 0 || PyType_IS_GC(type))) {
        PyErr_Format(PyExc_TypeError, "%s has more than its fields", type->tp_name);
        return -1;
    }
    return 0;
}

/* A new object of a class that was seen to be whole, with these values in its fields. */
static inline PyObject *filled(PyObject *cls, const Py_ssize_t *at, int count, PyObject *const *values) {
    PyObject *object = PyType_GenericAlloc((PyTypeObject *)cls, 0);
    for (int i = 0; object != NULL && i < count; i++) FIELD(object, at[i]) = Py_XNewRef(values[i]);
    return object;
}

static inline void change_field(PyObject *object, Py_ssize_t at, PyObject *value) {
    PyObject *old = FIELD(object, at);
    FIELD(object, at) = Py_NewRef(value);
    Py_XDECREF(old);
}

/* Arguments of a twin come from our own Python code; this keeps a mistake there from being more than an exception. */
#define NEED(right, what) \
    if (!(right)) return PyErr_SetString(PyExc_TypeError, what " is not as expected"), NULL

static int index_of(PyObject *object, Py_ssize_t *value) {
    *value = PyLong_AsSsize_t(object);
    return !(*value == -1 && PyErr_Occurred());
}

/* The exception that is set, as an object, with nothing set any more; and the way back. */
static PyObject *caught(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL && value != NULL) PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
#endif
}

/* ---- ClientSender._submit_fast */

enum { O_HEAD, O_REQUEST };
enum { O_STAMP, O_BEFORE, O_AFTER, O_ROOM, O_REQUEST_AT };
enum { R_HEAD, R_PATH, R_FIELDS, R_BODY, R_TAG, R_END };
static const char *const head_fields[] = {"stamp", "before", "after", "room", NULL};
static const char *const request_fields[] = {"head", "path", "fields", "body", "tag", NULL};

typedef struct {
    PyObject *bytes; /* with room to spare behind `size` */
    Py_ssize_t size;
} Buffer;

/* Where `more` bytes may be written; NULL with an exception. */
static inline char *extend(Buffer *out, Py_ssize_t more) {
    Py_ssize_t wanted = out->size + more;
    if (wanted > PyBytes_GET_SIZE(out->bytes) && _PyBytes_Resize(&out->bytes, wanted * 2) < 0) return NULL;
    char *to = PyBytes_AS_STRING(out->bytes) + out->size;
    out->size = wanted;
    return to;
}

static inline char *put_frame(char *to, Py_ssize_t size, int kind, int flags, uint32_t sid) {
    unsigned char head[9] = {(unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size,
                             (unsigned char)kind,         (unsigned char)flags,       (unsigned char)(sid >> 24),
                             (unsigned char)(sid >> 16),  (unsigned char)(sid >> 8),  (unsigned char)sid};
    memcpy(to, head, 9);
    return to + 9;
}

static inline char *put_bytes(char *to, PyObject *bytes) {
    memcpy(to, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    return to + PyBytes_GET_SIZE(bytes);
}

/* A length of at most LONGEST with the seven-bit prefix of RFC 7541 5.1. */
static inline char *put_length(char *to, Py_ssize_t size) {
    if (size >= 0x7F) {
        *to++ = 0x7F;
        for (size -= 0x7F; size >= 0x80; size >>= 7) *to++ = (char)((size & 0x7F) | 0x80);
    }
    *to++ = (char)size;
    return to;
}

/* Appends the frames of one request: 1 written, 0 it needs the Python way, -1 an exception. */
static int write_request(Kit *kit, PyObject *request, PyObject *stamp, PyObject *prefixes, Py_ssize_t longest_name,
                         Py_ssize_t most, uint32_t sid, Buffer *out) {
    const Py_ssize_t *at = kit->at, *request_at = kit->at + O_REQUEST_AT;
    char block[LARGEST_BLOCK + 3], *to = block;
    if (!Py_IS_TYPE(request, (PyTypeObject *)kit->kept[O_REQUEST])) return 0;
    PyObject *head = FIELD(request, request_at[R_HEAD]), *path = FIELD(request, request_at[R_PATH]);
    PyObject *fields = FIELD(request, request_at[R_FIELDS]), *body = FIELD(request, request_at[R_BODY]);
    if (!Py_IS_TYPE(head, (PyTypeObject *)kit->kept[O_HEAD]) || FIELD(head, at[O_STAMP]) != stamp) return 0;
    PyObject *before = FIELD(head, at[O_BEFORE]), *after = FIELD(head, at[O_AFTER]), *room = FIELD(head, at[O_ROOM]);
    if (!before || !after || !room || !PyBytes_CheckExact(before) || !PyBytes_CheckExact(after)) return 0;
    if (!PyBytes_CheckExact(path) || !PyTuple_CheckExact(fields) || !PyBytes_CheckExact(body)) return 0;
    Py_ssize_t body_size = PyBytes_GET_SIZE(body), count = PyTuple_GET_SIZE(fields), limit;
    if (PyBytes_GET_SIZE(path) > LONGEST || body_size > most) return 0;
    if (!index_of(room, &limit)) return -1;
    if (limit > LARGEST_BLOCK) limit = LARGEST_BLOCK;
    if (PyBytes_GET_SIZE(before) > limit || PyBytes_GET_SIZE(after) > limit) return 0;
    if (PyBytes_GET_SIZE(before) + PyBytes_GET_SIZE(path) + PyBytes_GET_SIZE(after) > limit) return 0;
    to = put_length(put_bytes(to, before), PyBytes_GET_SIZE(path));
    if (to - block + PyBytes_GET_SIZE(path) + PyBytes_GET_SIZE(after) > limit) return 0;
    to = put_bytes(put_bytes(to, path), after);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(fields, i);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) return 0;
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
        if (!PyBytes_CheckExact(name) || !PyBytes_CheckExact(value) || PyBytes_GET_SIZE(value) > LONGEST) return 0;
        PyObject *prefix = PyDict_GetItemWithError(prefixes, name);
        if (prefix == NULL || !PyBytes_CheckExact(prefix)) return PyErr_Occurred() ? -1 : 0;
        if (PyBytes_GET_SIZE(prefix) > limit) return 0;
        if (to - block + PyBytes_GET_SIZE(prefix) + PyBytes_GET_SIZE(value) + 1 > limit) return 0;
        to = put_bytes(put_length(put_bytes(to, prefix), PyBytes_GET_SIZE(value)), value);
        if (to - block > limit) return 0;
    }
    Py_ssize_t size = to - block;
    if (count > limit || size + (longest_name + 32) * count > limit) return 0;
    if ((to = extend(out, size + (body_size ? 18 + body_size : 9))) == NULL) return -1;
    to = put_frame(to, size, 1, body_size ? 4 : 5, sid);
    memcpy(to, block, (size_t)size);
    if (body_size) put_bytes(put_frame(to + size, body_size, 0, 1, sid), body);
    return 1;
}

/* open_fast(batch, at, stop, stamp, prefixes, longest_name, largest, window, sid, opened, out) -> (at, window, sid) */
static PyObject *open_fast(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at, stop, longest_name, largest, window, sid;
    NEED(nargs == 11, "the number of arguments");
    if (!index_of(args[1], &at) || !index_of(args[2], &stop) || !index_of(args[5], &longest_name)) return NULL;
    if (!index_of(args[6], &largest) || !index_of(args[7], &window) || !index_of(args[8], &sid)) return NULL;
    PyObject *prefixes = args[4], *opened = args[9], *pieces = args[10];
    NEED(PyDict_CheckExact(prefixes) && PyDict_CheckExact(opened) && PyList_CheckExact(pieces), "a book");
    NEED(at >= 0 && largest <= 65535 && longest_name >= 0 && longest_name <= 65535 && sid > 0, "a number");
    PyObject *batch = PySequence_Fast(args[0], "batch is no sequence"), *result = NULL;
    if (batch == NULL) return NULL;
    Buffer out = {PyBytes_FromStringAndSize(NULL, 4096), 0};
    if (out.bytes == NULL) goto failed;
    for (; at < stop && at < PySequence_Fast_GET_SIZE(batch) && sid <= 0x7FFFFFFF; at++, sid += 2) {
        PyObject *request = PySequence_Fast_GET_ITEM(batch, at);
        Py_ssize_t most = window < largest ? window : largest;
        int written = write_request(kit, request, args[3], prefixes, longest_name, most, (uint32_t)sid, &out);
        if (written < 0) goto failed;
        if (!written) break;
        PyObject *key = PyLong_FromSsize_t(sid);
        int status = key == NULL ? -1 : PyDict_SetItem(opened, key, request);
        Py_XDECREF(key);
        if (status < 0) goto failed;
        window -= PyBytes_GET_SIZE(FIELD(request, kit->at[O_REQUEST_AT + R_BODY]));
    }
    if (_PyBytes_Resize(&out.bytes, out.size) < 0) goto failed;
    if (out.size && PyList_Append(pieces, out.bytes) < 0) goto failed;
    result = Py_BuildValue("nnn", at, window, sid);
failed:
    Py_XDECREF(out.bytes);
    Py_DECREF(batch);
    return result;
}

/* ---- ClientSession._on_plain */

enum { P_ANSWERED, P_REQUEST, P_OK, P_EMPTY };
enum { A_TAG, A_STATUS, A_HEADERS, A_BODY, P_REQUEST_AT };
static const char *const answered_fields[] = {"tag", "status", "headers", "body", NULL};

/* read_plain(data, at, front, lead, own_size, opened, events, answers, blocked, credit) -> at; see read_answers */
static PyObject *read_plain(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at, own_size;
    NEED(nargs == 10, "the number of arguments");
    if (!index_of(args[1], &at) || !index_of(args[4], &own_size)) return NULL;
    PyObject *data = args[0], *front = args[2], *lead = args[3], *opened = args[5], *events = args[6];
    for (int i = 7; i < 10; i++) NEED(PyDict_CheckExact(args[i]), "a book");
    NEED(PyDict_CheckExact(opened) && PyList_CheckExact(events) && PyBytes_CheckExact(lead), "a book");
    NEED(PyBytes_CheckExact(front) && PyBytes_GET_SIZE(front) == 5 && PyBytes_GET_SIZE(lead) <= 65535, "a frame");
    NEED(at >= 0 && own_size >= 0 && own_size <= 0x7F, "a number");
    if (!PyBytes_CheckExact(data)) return PyLong_FromSsize_t(at);
    const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(data);
    const Py_ssize_t lead_size = PyBytes_GET_SIZE(lead), width = 9 + lead_size + own_size;
    const Py_ssize_t *request_at = kit->at + P_REQUEST_AT;
    PyTypeObject *request_type = (PyTypeObject *)kit->kept[P_REQUEST];
    while (at <= PyBytes_GET_SIZE(data) - width) {
        const unsigned char *frame = text + at;
        if (memcmp(frame, PyBytes_AS_STRING(front), 5) || memcmp(frame + 9, PyBytes_AS_STRING(lead), (size_t)lead_size))
            break;
        uint32_t number = (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
        PyObject *sid = PyLong_FromUnsignedLong(number);
        if (sid == NULL) return NULL;
        PyObject *request = PyDict_GetItemWithError(opened, sid); /* no other code runs while it is borrowed */
        int good = request != NULL && Py_IS_TYPE(request, request_type);
        if (good) {
            PyObject *fields = FIELD(request, request_at[R_FIELDS]);
            good = PyTuple_CheckExact(fields) && PyTuple_GET_SIZE(fields) > 0;
            PyObject *pair = good ? PyTuple_GET_ITEM(fields, 0) : fields;
            good = good && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2;
            PyObject *name = good ? PyTuple_GET_ITEM(pair, 0) : NULL, *own = good ? PyTuple_GET_ITEM(pair, 1) : NULL;
            good = good && PyBytes_CheckExact(name) && PyBytes_CheckExact(own) && PyBytes_GET_SIZE(own) == own_size &&
                   PyBytes_GET_SIZE(name) == 7 && !memcmp(PyBytes_AS_STRING(name), "apns-id", 7) &&
                   !memcmp(PyBytes_AS_STRING(own), frame + 9 + lead_size, (size_t)own_size);
        }
        for (int i = 7; good && i < 10; i++) /* they are empty, nearly always */
            good = PyDict_GET_SIZE(args[i]) == 0 || PyDict_Contains(args[i], sid) == 0;
        if (!good) {
            Py_DECREF(sid);
            if (PyErr_Occurred()) return NULL;
            break;
        }
        PyObject *values[] = {FIELD(request, request_at[R_TAG]), kit->kept[P_OK], Py_None, kit->kept[P_EMPTY]};
        PyObject *event = filled(kit->kept[P_ANSWERED], kit->at, P_REQUEST_AT, values);
        int status = event == NULL ? -1 : PyList_Append(events, event);
        Py_XDECREF(event);
        if (status == 0) status = PyDict_DelItem(opened, sid);
        Py_DECREF(sid);
        if (status < 0) return NULL;
        at += width;
    }
    return PyLong_FromSsize_t(at);
}

/* ---- Connection._batch */

enum { J_TOKEN, J_ID, J_TEMPLATE, J_PATH, J_FIELDS, J_BODY, J_DEADLINE, J_SINK, J_TAG, J_STATE, J_QUEUED, J_WRITTEN,
       J_ABOVE, J_AGAIN, J_CONNECTION, J_END };
static const char *const job_fields[] = {"device_token", "apns_id", "template", "path", "fields", "body", "deadline",
                                         "sink", "tag", "state", "queued", "written", "above", "sent_again",
                                         "connection", NULL};
enum { B_JOB, B_REQUEST, B_WRITTEN, B_DONE };

/* Whether it is a job (or a call) of which nothing was deleted; else with an exception. */
static int is_job(PyObject *job, PyObject *type, const Py_ssize_t *at) {
    int good = PyObject_TypeCheck(job, (PyTypeObject *)type);
    for (int i = 0; good && i < J_END; i++) good = FIELD(job, at[i]) != NULL;
    if (!good) PyErr_Format(PyExc_TypeError, "a %s is no whole job", Py_TYPE(job)->tp_name);
    return good;
}

/* take_batch(waiting, heads, make_head, room, window, now, connection) -> list of Request */
static PyObject *take_batch(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t room, window;
    NEED(nargs == 7, "the number of arguments");
    if (!index_of(args[3], &room) || !index_of(args[4], &window)) return NULL;
    PyObject *heads = args[1], *now = args[5], *connection = args[6];
    NEED(PyDict_CheckExact(heads), "a book");
    const Py_ssize_t *job_at = kit->at, *request_at = kit->at + J_END;
    PyObject *batch = PyList_New(0), *pop = PyObject_GetAttrString(args[0], "popleft");
    PyObject *job = NULL, *last = NULL, *head = NULL;
    if (batch == NULL || pop == NULL) goto failed;
    while (room > 0) {
        Py_ssize_t left = PyObject_Size(args[0]);
        if (left < 0) goto failed;
        if (left == 0) break;
        job = PyObject_CallNoArgs(pop);
        if (job == NULL) goto failed;
        if (!is_job(job, kit->kept[B_JOB], job_at)) goto failed;
        if (FIELD(job, job_at[J_STATE]) == kit->kept[B_DONE]) {
            Py_CLEAR(job);
            continue; /* its deadline passed while it waited */
        }
        PyObject *template = FIELD(job, job_at[J_TEMPLATE]);
        if (template != last || head == NULL) {
            Py_XSETREF(head, Py_XNewRef(PyDict_GetItemWithError(heads, template)));
            if (head == NULL && (PyErr_Occurred() || (head = PyObject_CallOneArg(args[2], template)) == NULL))
                goto failed;
            Py_XSETREF(last, Py_NewRef(template));
        }
        PyObject *body = FIELD(job, job_at[J_BODY]);
        Py_ssize_t size = PyObject_Size(body);
        if (size < 0) goto failed;
        PyObject *values[] = {head, FIELD(job, job_at[J_PATH]), FIELD(job, job_at[J_FIELDS]), body, job};
        PyObject *request = filled(kit->kept[B_REQUEST], request_at, R_END, values);
        int status = request == NULL ? -1 : PyList_Append(batch, request);
        Py_XDECREF(request);
        if (status < 0) goto failed;
        change_field(job, job_at[J_STATE], kit->kept[B_WRITTEN]);
        change_field(job, job_at[J_WRITTEN], now);
        change_field(job, job_at[J_CONNECTION], connection);
        Py_CLEAR(job);
        room--;
        window -= size;
        if (window < 0) break; /* the session sends the rest of this body when the window opens */
    }
    goto done;
failed:
    Py_CLEAR(batch);
done:
    Py_XDECREF(job);
    Py_XDECREF(last);
    Py_XDECREF(head);
    Py_XDECREF(pop);
    return batch;
}

/* ---- Connection._accepted */

static PyObject *sending_call(PyObject *self, PyObject *args, PyObject *named); /* both in _native_calls.h */
static PyObject *sending_set_result(PyObject *self, PyObject *outcome);

enum { C_JOB, C_ANSWERED, C_ACCEPTED, C_HEADER, C_INVALID, C_DONE, C_OK, C_UNIQUE, C_GIVEN };
#define TOPICS 10000 /* connection.TOPICS */
enum { X_END = 5, C_ANSWERED_AT = J_END, C_ACCEPTED_AT = J_END + 4 };
static const char *const accepted_fields[] = {"device_token", "apns_id", "unique_id", "tag", "wire_ms", NULL};

/* What Ends.finish does with an outcome. */
static int settle(Kit *kit, PyObject *job, PyObject *outcome, PyObject *heed) {
    if (heed != Py_None) {
        PyObject *heard = PyObject_CallFunctionObjArgs(heed, job, outcome, NULL);
        if (heard == NULL) return -1;
        Py_DECREF(heard);
    }
    PyObject *sink = Py_XNewRef(FIELD(job, kit->at[J_SINK])); /* it was there before `heed` */
    PyObject *done = sink != NULL && Py_TYPE(sink)->tp_call == sending_call
                         ? sending_set_result(sink, outcome)
                         : PyObject_CallOneArg(sink == NULL ? Py_None : sink, outcome);
    Py_XDECREF(sink);
    if (done == NULL) {
        if (!PyErr_ExceptionMatches(kit->kept[C_INVALID])) return -1;
        PyErr_Clear(); /* whoever waited has cancelled the future */
    }
    Py_XDECREF(done);
    return 0;
}

static PyObject *header_text(PyObject *headers, PyObject *name); /* _native_answers.h */

static PyObject *accepted(Kit *kit, PyObject *job, PyObject *headers, PyObject *ms) {
    PyObject *unique = headers == Py_None ? Py_NewRef(Py_None) : header_text(headers, kit->kept[C_UNIQUE]);
    if (unique == NULL && !PyErr_Occurred())
        unique = PyObject_CallFunctionObjArgs(kit->kept[C_HEADER], headers, kit->kept[C_UNIQUE], NULL);
    const Py_ssize_t *at = kit->at;
    PyObject *values[] = {FIELD(job, at[J_TOKEN]), FIELD(job, at[J_ID]), unique, FIELD(job, at[J_TAG]), ms};
    PyObject *outcome = unique == NULL ? NULL : filled(kit->kept[C_ACCEPTED], at + C_ACCEPTED_AT, X_END, values);
    Py_XDECREF(unique);
    return outcome;
}

/* accept(events, at, now, last_template, topics, heed) -> (at, last_template) */
static PyObject *accept(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at;
    NEED(nargs == 6, "the number of arguments");
    if (!index_of(args[1], &at)) return NULL;
    PyObject *events = args[0], *topics = args[4], *heed = args[5];
    NEED(PyList_CheckExact(events) && PySet_CheckExact(topics) && at >= 0, "a book");
    double now = PyFloat_AsDouble(args[2]);
    if (now == -1.0 && PyErr_Occurred()) return NULL;
    PyObject *last = Py_NewRef(args[3]), *written = Py_NewRef(args[2]), *ms = PyLong_FromLong(0);
    PyObject *job = NULL, *result = NULL;
    if (ms == NULL) goto failed;
    while (at < PyList_GET_SIZE(events)) {
        PyObject *event = PyList_GET_ITEM(events, at);
        if (!Py_IS_TYPE(event, (PyTypeObject *)kit->kept[C_ANSWERED])) break;
        if (FIELD(event, kit->at[C_ANSWERED_AT + A_STATUS]) != kit->kept[C_OK]) break;
        at++;
        job = Py_NewRef(FIELD(event, kit->at[C_ANSWERED_AT + A_TAG]));
        if (!is_job(job, kit->kept[C_JOB], kit->at)) goto failed;
        PyObject *template = FIELD(job, kit->at[J_TEMPLATE]);
        if (template != last) {
            PyObject *topic = PyObject_GetAttrString(template, "topic");
            int status = topic == NULL ? -1 : PySet_GET_SIZE(topics) < TOPICS ? PySet_Add(topics, topic) : 0;
            Py_XDECREF(topic);
            if (status < 0) goto failed;
            Py_SETREF(last, Py_NewRef(template));
        }
        PyObject *then = FIELD(job, kit->at[J_WRITTEN]);
        if (then != written) {
            Py_SETREF(written, Py_NewRef(then));
            double before = PyFloat_AsDouble(written);
            if (before == -1.0 && PyErr_Occurred()) goto failed;
            Py_SETREF(ms, PyLong_FromDouble((now - before) * 1000));
            if (ms == NULL) goto failed;
        }
        PyObject *headers = Py_NewRef(FIELD(event, kit->at[C_ANSWERED_AT + A_HEADERS]));
        change_field(job, kit->at[J_STATE], kit->kept[C_DONE]);
        change_field(job, kit->at[J_CONNECTION], Py_None);
        PyObject *outcome = accepted(kit, job, headers, ms);
        Py_DECREF(headers);
        int status = outcome == NULL ? -1 : settle(kit, job, outcome, heed);
        Py_XDECREF(outcome);
        if (status < 0) goto failed;
        Py_CLEAR(job);
    }
    result = Py_BuildValue("nO", at, last);
failed:
    Py_XDECREF(job);
    Py_XDECREF(ms);
    Py_DECREF(last);
    Py_DECREF(written);
    return result;
}

/* ---- Client._job and Batch.add */

enum { M_JOB, M_NOTIFICATION, M_PUSH, M_APS, M_PREPARED, M_JOB_MODEL, M_NOTE_MODEL, M_ENCODE, M_PLAIN, M_TEMPLATES,
       M_NEXT, M_CAREFUL, M_CANONICAL, M_LIMIT, M_REST, M_NAME, M_APS_KEY, M_ONE, M_NOTHING, M_ALERT, M_GIVEN };
enum { N_ALERT, N_BADGE, N_SOUND, N_THREAD, N_CATEGORY, N_MUTABLE, N_CUSTOM, N_MEMORY, N_COMMON };
enum { S_END = 6 };
enum { D_BODY, D_ROUTE, D_FIELDS, D_END };
enum { L_TITLE_ARGS = 5, L_SUBTITLE_ARGS = 7, L_ARGS = 9, L_END = 11 };
enum { APS_AT = J_END, PUSH_AT = APS_AT + S_END, PREPARED_AT = PUSH_AT + 5, ALERT_AT = PREPARED_AT + D_END,
       LIMIT_AT = ALERT_AT + L_END, NOTE_AT };
static const char *const common_fields[] = {"alert", "badge", "sound", "thread_id", "category", "mutable_content",
                                            "custom", "_prepared", NULL};
static const char *const aps_fields[] = {"alert", "badge", "sound", "thread_id", "category", "mutable_content", NULL};
static const char *const alert_fields[] = {"title", "subtitle", "body", "launch_image", "title_loc_key", "title_loc_args",
                                           "subtitle_loc_key", "subtitle_loc_args", "loc_key", "loc_args", "sound", NULL};
static const char *const push_fields[] = {"device_token", "notification", "apns_id", "tag", "topic", NULL};
static const char *const prepared_fields[] = {"body", "route", "fields", NULL};

/* In all that follows NULL without an exception says: unusual, do it the Python way. */

static inline int maybe_text(PyObject *value) { return value == Py_None || PyUnicode_CheckExact(value); }

/* Whether an alert is text, or one of nothing but text and lists of text. */
static int plain_alert(Kit *kit, PyObject *alert) {
    if (maybe_text(alert)) return 1;
    if (!Py_IS_TYPE(alert, (PyTypeObject *)kit->kept[M_ALERT])) return 0;
    for (int i = 0; i < L_END; i++) {
        PyObject *part = FIELD(alert, kit->at[ALERT_AT + i]);
        if (part == Py_None) continue;
        if (part == NULL) return 0;
        if (i == L_TITLE_ARGS || i == L_SUBTITLE_ARGS || i == L_ARGS) {
            if (!PyList_CheckExact(part)) return 0;
            for (Py_ssize_t j = 0; j < PyList_GET_SIZE(part); j++)
                if (!PyUnicode_CheckExact(PyList_GET_ITEM(part, j))) return 0;
        } else if (!PyUnicode_CheckExact(part)) return 0;
    }
    return 1;
}

static PyObject *plain_body(Kit *kit, PyObject *note) {
    const Py_ssize_t *at = kit->at + NOTE_AT;
    for (Py_ssize_t i = N_COMMON; i < N_COMMON + PyTuple_GET_SIZE(kit->kept[M_REST]); i++)
        if (FIELD(note, at[i]) != FIELD(kit->kept[M_NOTE_MODEL], at[i])) return NULL;
    PyObject *badge = FIELD(note, at[N_BADGE]), *sound = FIELD(note, at[N_SOUND]);
    PyObject *mutable = FIELD(note, at[N_MUTABLE]), *custom = FIELD(note, at[N_CUSTOM]);
    if (!plain_alert(kit, FIELD(note, at[N_ALERT])) || !maybe_text(sound)) return NULL;
    if (!maybe_text(FIELD(note, at[N_THREAD])) || !maybe_text(FIELD(note, at[N_CATEGORY]))) return NULL;
    if (badge != Py_None) {
        int beyond;
        if (!PyLong_CheckExact(badge) || PyLong_AsLongAndOverflow(badge, &beyond) < 0 || beyond) return NULL;
    }
    if (mutable != Py_True && mutable != Py_False) return NULL;
    if (custom != Py_None && !PyDict_CheckExact(custom)) return NULL;
    PyObject *values[] = {FIELD(note, at[N_ALERT]),    badge, sound, FIELD(note, at[N_THREAD]),
                          FIELD(note, at[N_CATEGORY]), mutable == Py_True ? kit->kept[M_ONE] : Py_None};
    PyObject *aps = filled(kit->kept[M_APS], kit->at + APS_AT, S_END, values), *whole = PyDict_New(), *body = NULL;
    if (aps == NULL || whole == NULL || PyDict_SetItem(whole, kit->kept[M_APS_KEY], aps) < 0) goto done;
    if (custom != Py_None) {
        int own = PyDict_Contains(custom, kit->kept[M_APS_KEY]);
        if (own || PyDict_Update(whole, custom) < 0) goto done;
    }
    body = PyObject_CallOneArg(kit->kept[M_ENCODE], whole);
    if (body != NULL && (!PyBytes_CheckExact(body) || PyBytes_GET_SIZE(body) > kit->at[LIMIT_AT])) Py_CLEAR(body);
done:
    Py_XDECREF(aps);
    Py_XDECREF(whole);
    if (body == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception)) PyErr_Clear();
    return body;
}

/* What a notification is prepared to; it remembers that. */
static PyObject *prepared(Kit *kit, PyObject *note) {
    if (!Py_IS_TYPE(note, (PyTypeObject *)kit->kept[M_NOTIFICATION])) return NULL;
    PyObject *ready = FIELD(note, kit->at[NOTE_AT + N_MEMORY]);
    if (ready != NULL) return Py_IS_TYPE(ready, (PyTypeObject *)kit->kept[M_PREPARED]) ? Py_NewRef(ready) : NULL;
    PyObject *body = plain_body(kit, note);
    if (body == NULL) return NULL;
    PyObject *values[] = {body, kit->kept[M_PLAIN], kit->kept[M_NOTHING]};
    ready = filled(kit->kept[M_PREPARED], kit->at + PREPARED_AT, D_END, values);
    Py_DECREF(body);
    if (ready != NULL) change_field(note, kit->at[NOTE_AT + N_MEMORY], ready);
    return ready;
}

static PyObject *plain_path(PyObject *token) {
    if (!PyUnicode_CheckExact(token) || !PyUnicode_IS_COMPACT_ASCII(token)) return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(token);
    if (size & 1 || size < 16 || size > 400) return NULL;
    const unsigned char *text = PyUnicode_1BYTE_DATA(token);
    for (Py_ssize_t i = 0; i < size; i++)
        if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f')) return NULL;
    char path[10 + 400] = "/3/device/";
    memcpy(path + 10, text, (size_t)size);
    return PyBytes_FromStringAndSize(path, 10 + size);
}

/* ((b"apns-id", wire_id), *more) */
static PyObject *own_fields(Kit *kit, PyObject *wire_id, PyObject *more) {
    PyObject *pair = PyTuple_Pack(2, kit->kept[M_NAME], wire_id);
    PyObject *fields = pair == NULL ? NULL : PyTuple_Pack(1, pair);
    Py_XDECREF(pair);
    if (fields != NULL && PyTuple_GET_SIZE(more)) Py_SETREF(fields, PySequence_Concat(fields, more));
    return fields;
}

/* Borrowed from the client's templates. */
static PyObject *template_of(Kit *kit, PyObject *topic, PyObject *route) {
    if (topic == Py_None) return PyDict_GetItemWithError(kit->kept[M_TEMPLATES], route);
    if (!PyUnicode_CheckExact(topic) || PyUnicode_GET_LENGTH(topic) == 0) return NULL;
    PyObject *key = PyTuple_Pack(2, topic, route);
    PyObject *template = key == NULL ? NULL : PyDict_GetItemWithError(kit->kept[M_TEMPLATES], key);
    Py_XDECREF(key);
    return template;
}

enum { G_TOKEN, G_NOTE, G_ID, G_TAG, G_TOPIC, G_DEADLINE, G_SINK, G_END };

static PyObject *plain_job(Kit *kit, PyObject *const *given) {
    PyObject *path = NULL, *id = NULL, *wire_id = NULL, *fields = NULL, *template = NULL, *job = NULL;
    if (given[G_ID] != Py_None) {
        if (!PyUnicode_CheckExact(given[G_ID])) return NULL;
        PyObject *match = PyObject_CallOneArg(kit->kept[M_CANONICAL], given[G_ID]);
        Py_XDECREF(match);
        if (match == NULL || match == Py_None) return NULL;
    }
    PyObject *ready = prepared(kit, given[G_NOTE]);
    if (ready == NULL) return NULL;
    const Py_ssize_t *at = kit->at + PREPARED_AT;
    if ((path = plain_path(given[G_TOKEN])) == NULL) goto done;
    template = Py_XNewRef(template_of(kit, given[G_TOPIC], FIELD(ready, at[D_ROUTE])));
    if (template == NULL) goto done;
    if (given[G_ID] == Py_None) {
        if ((wire_id = PyObject_CallNoArgs(kit->kept[M_NEXT])) == NULL) goto done;
        id = PyUnicode_FromEncodedObject(wire_id, "ascii", NULL);
    } else {
        id = Py_NewRef(given[G_ID]);
        wire_id = PyUnicode_AsASCIIString(id);
    }
    if (id == NULL || wire_id == NULL) goto done;
    if ((fields = own_fields(kit, wire_id, FIELD(ready, at[D_FIELDS]))) == NULL) goto done;
    PyObject *values[J_END] = {given[G_TOKEN], id, template, path, fields, FIELD(ready, at[D_BODY]), given[G_DEADLINE],
                               given[G_SINK], given[G_TAG]};
    for (int i = J_STATE; i < J_END; i++) values[i] = FIELD(kit->kept[M_JOB_MODEL], kit->at[i]);
    job = filled(kit->kept[M_JOB], kit->at, J_END, values);
done:
    Py_DECREF(ready);
    Py_XDECREF(template);
    Py_XDECREF(path);
    Py_XDECREF(id);
    Py_XDECREF(wire_id);
    Py_XDECREF(fields);
    return job;
}

/* make(device_token, notification, apns_id, tag, topic, deadline, sink) -> Job, like Client._job */
static PyObject *make(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    NEED(nargs == G_END, "the number of arguments");
    PyObject *job = plain_job(kit, args);
    if (job != NULL || PyErr_Occurred()) return job;
    return PyObject_Vectorcall(kit->kept[M_CAREFUL], args, G_END, NULL);
}

static PyObject *item_job(Kit *kit, PyObject *item, PyObject *deadline, PyObject *sink) {
    PyObject *given[G_END] = {NULL, NULL, Py_None, Py_None, Py_None, deadline, sink};
    if (PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2) {
        given[G_TOKEN] = PyTuple_GET_ITEM(item, 0);
        given[G_NOTE] = PyTuple_GET_ITEM(item, 1);
    } else if (Py_IS_TYPE(item, (PyTypeObject *)kit->kept[M_PUSH])) {
        for (int i = G_TOKEN; i <= G_TOPIC; i++) given[i] = FIELD(item, kit->at[PUSH_AT + i]);
    } else return NULL;
    return plain_job(kit, given);
}

/* make_all(items, room, deadline, sink, jobs, one) -> None when `room` items were taken, True when there are no more,
 * or the error of `items`. What is unusual goes to one(item, deadline, jobs). */
static PyObject *make_all(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t room;
    NEED(nargs == 6, "the number of arguments");
    if (!index_of(args[1], &room)) return NULL;
    PyObject *items = args[0], *jobs = args[4];
    NEED(PyIter_Check(items) && PyList_CheckExact(jobs), "a book");
    for (; room > 0; room--) {
        PyObject *item = PyIter_Next(items);
        if (item == NULL) {
            if (!PyErr_Occurred()) Py_RETURN_TRUE;
            return PyErr_ExceptionMatches(PyExc_Exception) ? caught() : NULL;
        }
        PyObject *job = item_job(kit, item, args[2], args[3]);
        int status = -1;
        if (job != NULL) {
            status = PyList_Append(jobs, job);
            Py_DECREF(job);
        } else if (!PyErr_Occurred()) {
            PyObject *done = PyObject_CallFunctionObjArgs(args[5], item, args[2], jobs, NULL);
            status = done == NULL ? -1 : 0;
            Py_XDECREF(done);
        }
        Py_DECREF(item);
        if (status < 0) return NULL;
    }
    Py_RETURN_NONE;
}

#include "_native_answers.h"
#include "_native_calls.h"
#include "_native_campaign.h"

/* ---- the module */

#define TWIN(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef twins[] = {TWIN(open_fast), TWIN(read_answers), TWIN(take_batch), TWIN(accept), TWIN(make),
                              TWIN(make_all), TWIN(reject), TWIN(send), TWIN(alike), TWIN(address),
                              TWIN(write_pushes), TWIN(same), TWIN(results), TWIN(records), TWIN(targets),
                              {NULL, NULL, 0, NULL}};
#define MAKER_SHAPES                                                                                         \
    {{M_JOB, job_fields, 0, 1}, {M_APS, aps_fields, APS_AT, 1}, {M_PUSH, push_fields, PUSH_AT, 1},           \
     {M_PREPARED, prepared_fields, PREPARED_AT, 1}, {M_ALERT, alert_fields, ALERT_AT, 0},                     \
     {M_NOTIFICATION, common_fields, NOTE_AT, 0}}
static const struct {
    Py_ssize_t given;
    Shape shapes[7]; /* up to one without names */
} recipes[] = {{2, {{O_HEAD, head_fields, 0, 0}, {O_REQUEST, request_fields, O_REQUEST_AT, 1}}},
               {Q_GIVEN, {{P_ANSWERED, answered_fields, 0, 1}, {P_REQUEST, request_fields, P_REQUEST_AT, 1},
                          {Q_ANSWER, answer_fields, ANSWER_AT, 1}, {Q_DECODER, decoder_fields, DECODER_AT, 0},
                          {Q_SHAPE, shape_fields, SHAPE_AT, 0}}},
               {4, {{B_JOB, job_fields, 0, 1}, {B_REQUEST, request_fields, J_END, 1}}},
               {C_GIVEN, {{C_JOB, job_fields, 0, 1}, {C_ANSWERED, answered_fields, C_ANSWERED_AT, 1},
                          {C_ACCEPTED, accepted_fields, C_ACCEPTED_AT, 1}}},
               {M_GIVEN, MAKER_SHAPES}, {M_GIVEN, MAKER_SHAPES},
               {C_GIVEN, {{C_JOB, job_fields, 0, 1}, {C_ANSWERED, answered_fields, C_ANSWERED_AT, 1},
                          {V_REJECTED, rejected_fields, V_REJECTED_AT, 1}}},
               {Y_GIVEN, {{Y_JOB, job_fields, 0, 1}, {Y_TURNS_TYPE, turns_fields, Y_ASKED_AT, 0},
                          {Y_DEADLINES_TYPE, deadlines_fields, Y_TIMER_AT, 0}}},
               {K_GIVEN, {{K_JOB, job_fields, 0, 1}, {K_LETTER, letter_fields, T_AT, 0}}},
               {1, {{0, job_fields, 0, 1}}},
               {W_GIVEN, {{W_PUSH, port_push_fields, 0, 1}, {W_TARGET, target_fields, W_TARGET_AT, 1},
                          {W_RECIPIENT, variables_fields, W_VARIABLES_AT, 0}}},
               {1, {{0, port_push_fields, 0, 1}}},
               {E_GIVEN, {{E_ACCEPTED, accepted_fields, 0, 1}, {E_PUSH, port_push_fields, E_PUSH_AT, 1},
                          {E_RESULT, result_fields, E_RESULT_AT, 1}}},
               {F_GIVEN, {{F_RESULT, result_fields, 0, 1}, {F_TARGET, target_fields, F_TARGET_AT, 1},
                          {F_RECORD, record_fields, F_RECORD_AT, 1}}},
               {U_GIVEN, {{U_TARGET, target_fields, 0, 1}, {U_RECIPIENT, recipient_fields, U_RECIPIENT_AT, 0},
                          {U_REACHED, reached_fields, U_REACHED_AT, 0}}}};

/* Where the fields of Notification are that a plain one leaves alone, and whether all else is what it must be. */
static int learn_rest(Kit *kit) {
    PyObject **kept = kit->kept, *rest = kept[M_REST];
    if (!PyTuple_CheckExact(rest) || PyTuple_GET_SIZE(rest) > PLACES - NOTE_AT - N_COMMON || !PyDict_CheckExact(
        kept[M_TEMPLATES]) || !Py_IS_TYPE(kept[M_JOB_MODEL], (PyTypeObject *)kept[M_JOB]) ||
        !Py_IS_TYPE(kept[M_NOTE_MODEL], (PyTypeObject *)kept[M_NOTIFICATION])) {
        PyErr_SetString(PyExc_TypeError, "something is of another class");
        return -1;
    }
    Py_ssize_t *at = kit->at + NOTE_AT + N_COMMON;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rest); i++)
        if (place((PyTypeObject *)kept[M_NOTIFICATION], PyTuple_GET_ITEM(rest, i), at + i) < 0) return -1;
    return index_of(kept[M_LIMIT], kit->at + LIMIT_AT) ? 0 : -1;
}

/* twin(name, *parts) -> the twin of that name, bound to what it works with */
static PyObject *twin(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    int which = 0;
    NEED(nargs > 0 && PyUnicode_Check(args[0]), "the name");
    while (twins[which].ml_name != NULL && PyUnicode_CompareWithASCIIString(args[0], twins[which].ml_name)) which++;
    NEED(twins[which].ml_name != NULL && recipes[which].given == nargs - 1, "the name or the number of parts");
    PyObject *type = PyObject_GetAttrString(module, "Kit"), *bound = NULL;
    int known = type != NULL && PyType_Check(type) && ((PyTypeObject *)type)->tp_dealloc == (destructor)kit_dealloc;
    Kit *kit = known ? (Kit *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0) : NULL;
    Py_XDECREF(type);
    if (kit == NULL) return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "Kit was replaced");
    for (Py_ssize_t i = 1; i < nargs; i++) kit->kept[i - 1] = Py_NewRef(args[i]);
    int good = 1;
    for (const Shape *one = recipes[which].shapes; good && one->names != NULL; one++) good = places(kit, one) == 0;
    if (good && recipes[which].given == M_GIVEN) good = learn_rest(kit) == 0;
    if (good && recipes[which].given == Y_GIVEN) good = learn_send(module, kit) == 0;
    if (good) bound = PyCFunction_NewEx(&twins[which], (PyObject *)kit, NULL);
    Py_DECREF(kit);
    return bound;
}

static PyMethodDef functions[] = {TWIN(twin), {NULL, NULL, 0, NULL}};

static int execute(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &kit_spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return status;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "heliogram._native", NULL, 0, functions, slots,
                                        NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
