/* What a campaign does thousands of times between the queue and the engine, and on the way back. Part of _native.c.
 *
 * Each of these goes through a list until it comes to what is unusual, and returns where that is: the Python code beside
 * it does that one, and calls again.
 */

/* A value of text that is ASCII and of this length; its characters, else NULL. */
static inline const unsigned char *ascii_of(PyObject *text, Py_ssize_t least, Py_ssize_t most) {
    if (text == NULL || !PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text)) return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    return size < least || size > most ? NULL : PyUnicode_1BYTE_DATA(text);
}

static inline int whole(PyObject *object, PyObject *type, const Py_ssize_t *at, int count) {
    int good = object != NULL && Py_IS_TYPE(object, (PyTypeObject *)type);
    for (int i = 0; good && i < count; i++) good = FIELD(object, at[i]) != NULL;
    return good;
}

/* Whether the model, whose fields stand where nothing else is known, is a whole one of its class. */
static int is_model(Kit *kit, PyObject *model, int type, int at, int count) {
    if (whole(model, kit->kept[type], kit->at + at, count)) return 1;
    PyErr_SetString(PyExc_TypeError, "the model is of another class");
    return 0;
}

static const char HEX[] = "0123456789abcdef";

/* ---- alike.jobs_of */

#define ID_SIZE 36 /* alike._ID_SIZE */
#define COLLAPSE_LIMIT 64 /* checks.COLLAPSE_ID_LIMIT */
#define LEAST_TOKEN 8 /* bytes: alike._LEAST and _MOST */
#define MOST_TOKEN 200
enum { K_JOB, K_LETTER, K_MODEL, K_NAME, K_COLLAPSE, K_GIVEN };
enum { T_TOKEN, T_ID, T_BODY, T_COLLAPSE, T_END };
enum { T_AT = J_END };
static const char *const letter_fields[] = {"token", "apns_id", "payload", "collapse_id", NULL};

/* A tuple of these two; of what holds no reference that could close a cycle, so the collector need not look at it. */
static PyObject *untracked_pair(PyObject *name, PyObject *value) {
    PyObject *pair = PyTuple_Pack(2, name, value);
    if (pair != NULL) PyObject_GC_UnTrack(pair);
    return pair;
}

/* The header value of a collapse id; NULL without an exception for one that has to be looked at. */
static PyObject *collapse_value(PyObject *text) {
    const unsigned char *from = ascii_of(text, 1, COLLAPSE_LIMIT);
    if (from == NULL) return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    for (Py_ssize_t i = 0; i < size; i++)
        if (from[i] < 0x20 || from[i] > 0x7E) return NULL;
    if (from[0] == ' ' || from[size - 1] == ' ') return NULL;
    return PyBytes_FromStringAndSize((const char *)from, size);
}

/* ((b"apns-id", wire_id), *more, (b"apns-collapse-id", collapse)), the last only where there is one */
static PyObject *alike_fields(Kit *kit, PyObject *wire_id, PyObject *more, PyObject *collapse) {
    Py_ssize_t count = PyTuple_GET_SIZE(more), size = 1 + count + (collapse != NULL);
    PyObject *fields = PyTuple_New(size);
    if (fields == NULL) return NULL;
    PyObject *own = untracked_pair(kit->kept[K_NAME], wire_id);
    PyObject *last = collapse == NULL ? NULL : untracked_pair(kit->kept[K_COLLAPSE], collapse);
    if (own == NULL || (collapse != NULL && last == NULL)) {
        Py_XDECREF(own);
        Py_XDECREF(last);
        Py_DECREF(fields);
        return NULL;
    }
    PyTuple_SET_ITEM(fields, 0, own);
    for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(fields, 1 + i, Py_NewRef(PyTuple_GET_ITEM(more, i)));
    if (last != NULL) PyTuple_SET_ITEM(fields, size - 1, last);
    return fields;
}

/* The job of a letter; NULL without an exception for one that has to be looked at. `shared` is the collapse id of the
 * letter before, with its value. */
static PyObject *alike_job(Kit *kit, PyObject *letter, PyObject *template, PyObject *more, Py_ssize_t limit,
                           PyObject *shared[2]) {
    const Py_ssize_t *at = kit->at + T_AT;
    if (!whole(letter, kit->kept[K_LETTER], at, T_END)) return NULL;
    PyObject *token = FIELD(letter, at[T_TOKEN]), *id = FIELD(letter, at[T_ID]), *body = FIELD(letter, at[T_BODY]);
    PyObject *collapse = FIELD(letter, at[T_COLLAPSE]), *job = NULL;
    const unsigned char *id_text = ascii_of(id, ID_SIZE, ID_SIZE);
    if (id_text == NULL || !PyBytes_CheckExact(token) || !PyBytes_CheckExact(body)) return NULL;
    Py_ssize_t size = PyBytes_GET_SIZE(token);
    if (size < LEAST_TOKEN || size > MOST_TOKEN || !PyBytes_GET_SIZE(body) || PyBytes_GET_SIZE(body) > limit) return NULL;
    if (collapse != Py_None && collapse != id && collapse != shared[0]) {
        PyObject *value = collapse_value(collapse);
        if (value == NULL) return NULL;
        Py_XSETREF(shared[0], Py_NewRef(collapse));
        Py_XSETREF(shared[1], value);
    }
    PyObject *wire_id = PyBytes_FromStringAndSize((const char *)id_text, ID_SIZE);
    PyObject *text = PyUnicode_New(2 * size, 127), *path = PyBytes_FromStringAndSize(NULL, 10 + 2 * size);
    PyObject *fields = NULL;
    if (wire_id == NULL || text == NULL || path == NULL) goto done;
    PyObject *own = collapse == Py_None ? NULL : collapse == id ? wire_id : shared[1];
    if ((fields = alike_fields(kit, wire_id, more, own)) == NULL) goto done;
    unsigned char *digits = PyUnicode_1BYTE_DATA(text);
    for (Py_ssize_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)PyBytes_AS_STRING(token)[i];
        digits[2 * i] = (unsigned char)HEX[byte >> 4];
        digits[2 * i + 1] = (unsigned char)HEX[byte & 15];
    }
    memcpy(PyBytes_AS_STRING(path), "/3/device/", 10);
    memcpy(PyBytes_AS_STRING(path) + 10, digits, (size_t)(2 * size));
    PyObject *values[J_END];
    for (int i = 0; i < J_END; i++) values[i] = FIELD(kit->kept[K_MODEL], kit->at[i]);
    values[J_TOKEN] = text;
    values[J_ID] = id;
    values[J_TEMPLATE] = template;
    values[J_PATH] = path;
    values[J_FIELDS] = fields;
    values[J_BODY] = body;
    values[J_TAG] = letter;
    job = filled(kit->kept[K_JOB], kit->at, J_END, values);
done:
    Py_XDECREF(wire_id);
    Py_XDECREF(text);
    Py_XDECREF(path);
    Py_XDECREF(fields);
    return job;
}

/* alike(letters, at, template, more, limit, jobs) -> where it came to: jobs_of from there on */
static PyObject *alike(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at, limit;
    NEED(nargs == 6, "the number of arguments");
    if (!index_of(args[1], &at) || !index_of(args[4], &limit)) return NULL;
    PyObject *letters = args[0], *jobs = args[5], *shared[2] = {NULL, NULL};
    NEED(PyList_CheckExact(letters) && PyTuple_CheckExact(args[3]) && PyList_CheckExact(jobs) && at >= 0, "a book");
    int status = 0;
    for (; at < PyList_GET_SIZE(letters); at++) {
        PyObject *letter = Py_NewRef(PyList_GET_ITEM(letters, at));
        PyObject *job = alike_job(kit, letter, args[2], args[3], limit, shared);
        Py_DECREF(letter);
        if (job == NULL) break;
        status = PyList_Append(jobs, job);
        Py_DECREF(job);
        if (status < 0) break;
    }
    Py_XDECREF(shared[0]);
    Py_XDECREF(shared[1]);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(at);
}

/* ---- Batch.queue */

/* address(jobs, deadline, sink): what all of them have in common */
static PyObject *address(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    NEED(nargs == 3 && PyList_CheckExact(args[0]), "a book");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *job = Py_NewRef(PyList_GET_ITEM(args[0], i));
        int good = is_job(job, kit->kept[0], kit->at);
        if (good) {
            change_field(job, kit->at[J_DEADLINE], args[1]);
            change_field(job, kit->at[J_SINK], args[2]);
        }
        Py_DECREF(job);
        if (!good) return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- rendering.render: the pushes of a chunk */

enum { W_PUSH, W_TARGET, W_RECIPIENT, W_GIVEN };
enum { H_TAG, H_TOKEN, H_ID, H_PAYLOAD, H_COLLAPSE = 7, H_END = 10 };
enum { G_SEQUENCE, G_SLOT, G_DEVICE, G_PROVIDER, G_ENVIRONMENT, G_CREDENTIAL, G_OF, G_ATTEMPT, G_UNKNOWNS, G_UNSURE,
       G_OTHER, G_TARGET_END };
enum { W_TARGET_AT = H_END, W_VARIABLES_AT = W_TARGET_AT + G_TARGET_END };
static const char *const port_push_fields[] = {"tag", "token", "apns_id", "payload", "push_type", "priority", "expiration",
                                               "collapse_id", "channel", "topic", NULL};
static const char *const target_fields[] = {"sequence", "slot", "token", "provider", "environment", "credential", "of",
                                            "attempt", "unknowns", "unsure", "other", NULL};
static const char *const variables_fields[] = {"variables", NULL};
#define SEQUENCES 16384 /* ids.MAX_SEQUENCE and MAX_SLOT, and one */
#define SLOTS 64
#define LOW_DIGITS 5 /* of a UUID: ids._LOW_BITS / 4 */

/* DeliveryTexts.of */
static PyObject *delivery_text(const unsigned char *prefix, Py_ssize_t sequence, Py_ssize_t slot) {
    PyObject *text = PyUnicode_New(ID_SIZE, 127);
    if (text == NULL) return NULL;
    unsigned char *to = PyUnicode_1BYTE_DATA(text);
    memcpy(to, prefix, ID_SIZE - LOW_DIGITS);
    Py_ssize_t low = sequence << 6 | slot;
    for (int i = 0; i < LOW_DIGITS; i++) to[ID_SIZE - 1 - i] = (unsigned char)HEX[low >> 4 * i & 15];
    return text;
}

/* Copies text that JSON takes as it is; NULL without an exception for what has to be escaped, or is no text. */
static char *put_plain(char *to, PyObject *value) {
    const unsigned char *from = ascii_of(value, 1, PY_SSIZE_T_MAX);
    if (from == NULL) return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(value);
    for (Py_ssize_t i = 0; i < size; i++) {
        if (from[i] < 0x20 || from[i] == '"' || from[i] == '\\' || from[i] == 0x7F) return NULL;
        to[i] = (char)from[i];
    }
    return to + size;
}

/* The payload of plain variables: `pieces` are bytes and names, in turn. NULL without an exception when the Python way
 * is needed: a name is missing, or stands for what is no plain text, or all of it is over the limit. */
static PyObject *plain_payload(PyObject *pieces, PyObject *variables, Py_ssize_t limit) {
    if (!PyTuple_CheckExact(pieces) || variables == NULL || !PyDict_CheckExact(variables)) return NULL;
    Py_ssize_t size = 0, count = PyTuple_GET_SIZE(pieces);
    PyObject *found[16];
    if (count > 16) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *piece = PyTuple_GET_ITEM(pieces, i);
        found[i] = PyUnicode_CheckExact(piece) ? PyDict_GetItemWithError(variables, piece) : piece;
        if (found[i] == NULL) return NULL;
        if (found[i] != piece ? ascii_of(found[i], 1, limit) == NULL : !PyBytes_CheckExact(piece)) return NULL;
        size += found[i] != piece ? PyUnicode_GET_LENGTH(found[i]) : PyBytes_GET_SIZE(piece);
        if (size > limit) return NULL;
    }
    PyObject *payload = PyBytes_FromStringAndSize(NULL, size);
    char *to = payload == NULL ? NULL : PyBytes_AS_STRING(payload);
    for (Py_ssize_t i = 0; to != NULL && i < count; i++)
        to = PyBytes_CheckExact(found[i]) ? put_bytes(to, found[i]) : put_plain(to, found[i]);
    if (to == NULL) Py_CLEAR(payload);
    return payload;
}

typedef struct {
    PyObject *recipients, *shared, *pieces, *model;
    const unsigned char *prefix;
    Py_ssize_t first, limit;
    int by_id;
    PyObject *payload, *notification; /* of the recipient at hand; owned */
} Scene;

/* What a recipient's pushes share: 1, or 0 when the Python way is needed, -1 with an exception. */
static int next_recipient(Kit *kit, Scene *scene, Py_ssize_t sequence) {
    Py_ssize_t place = sequence - scene->first;
    if (place < 0 || place >= PyList_GET_SIZE(scene->recipients)) return 0;
    PyObject *recipient = PyList_GET_ITEM(scene->recipients, place), *payload;
    if (scene->shared != Py_None) payload = Py_NewRef(scene->shared);
    else if (!Py_IS_TYPE(recipient, (PyTypeObject *)kit->kept[W_RECIPIENT])) return 0;
    else payload = plain_payload(scene->pieces, FIELD(recipient, kit->at[W_VARIABLES_AT]), scene->limit);
    if (payload == NULL) return PyErr_Occurred() ? -1 : 0;
    Py_XSETREF(scene->payload, payload);
    Py_XSETREF(scene->notification, delivery_text(scene->prefix, sequence, 0));
    return scene->notification == NULL ? -1 : 1;
}

static PyObject *port_push(Kit *kit, Scene *scene, PyObject *target, Py_ssize_t sequence, Py_ssize_t slot) {
    PyObject *id = slot ? delivery_text(scene->prefix, sequence, slot) : Py_NewRef(scene->notification);
    if (id == NULL) return NULL;
    PyObject *values[H_END];
    for (int i = 0; i < H_END; i++) values[i] = FIELD(scene->model, kit->at[i]);
    values[H_TAG] = target;
    values[H_TOKEN] = FIELD(target, kit->at[W_TARGET_AT + G_DEVICE]);
    values[H_ID] = id;
    values[H_PAYLOAD] = scene->payload;
    if (scene->by_id) values[H_COLLAPSE] = scene->notification;
    PyObject *push = filled(kit->kept[W_PUSH], kit->at, H_END, values);
    Py_DECREF(id);
    return push;
}

/* write(targets, at, recipients, first, prefix, shared, pieces, limit, model, by_id, pushes) -> where it came to, which
 * is where a recipient begins: the pushes of targets, with the `shared` payload, or one made of `pieces` */
static PyObject *write_pushes(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at;
    NEED(nargs == 11, "the number of arguments");
    Scene scene = {.recipients = args[2], .shared = args[5], .pieces = args[6], .model = args[8],
                   .by_id = args[9] == Py_True};
    if (!index_of(args[1], &at) || !index_of(args[3], &scene.first) || !index_of(args[7], &scene.limit)) return NULL;
    PyObject *targets = args[0], *pushes = args[10];
    scene.prefix = ascii_of(args[4], ID_SIZE - LOW_DIGITS, ID_SIZE - LOW_DIGITS);
    NEED(PyList_CheckExact(targets) && PyList_CheckExact(scene.recipients) && PyList_CheckExact(pushes), "a book");
    NEED(at >= 0 && scene.prefix != NULL && (scene.shared == Py_None || PyBytes_CheckExact(scene.shared)), "a part");
    if (!is_model(kit, scene.model, W_PUSH, 0, H_END)) return NULL;
    Py_ssize_t current = -1;
    for (; at < PyList_GET_SIZE(targets); at++) {
        PyObject *target = Py_NewRef(PyList_GET_ITEM(targets, at)), *push = NULL;
        Py_ssize_t sequence, slot;
        int status = whole(target, kit->kept[W_TARGET], kit->at + W_TARGET_AT, G_TARGET_END);
        if (status && (!index_of(FIELD(target, kit->at[W_TARGET_AT + G_SEQUENCE]), &sequence) ||
                       !index_of(FIELD(target, kit->at[W_TARGET_AT + G_SLOT]), &slot)))
            status = -1;
        if (status == 1 && (sequence < 0 || sequence >= SEQUENCES || slot < 0 || slot >= SLOTS)) status = 0;
        if (status == 1 && sequence != current) status = next_recipient(kit, &scene, current = sequence);
        if (status == 1) push = port_push(kit, &scene, target, sequence, slot);
        Py_DECREF(target);
        if (push == NULL || PyList_Append(pushes, push) < 0) {
            Py_XDECREF(push);
            break;
        }
        Py_DECREF(push);
    }
    Py_XDECREF(scene.payload);
    Py_XDECREF(scene.notification);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(at);
}

/* ---- Held.ready: pushes that share what all do */

/* same(pushes, at) -> where the next form begins */
static PyObject *same(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    static const int form[] = {4, 5, 6, 8, 9};
    Py_ssize_t at;
    NEED(nargs == 2 && PyList_CheckExact(args[0]), "a book");
    if (!index_of(args[1], &at)) return NULL;
    NEED(at >= 0 && at < PyList_GET_SIZE(args[0]), "a number");
    PyObject *first = Py_NewRef(PyList_GET_ITEM(args[0], at));
    int alike = whole(first, kit->kept[0], kit->at, H_END);
    for (at++; alike && at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *push = Py_NewRef(PyList_GET_ITEM(args[0], at));
        alike = whole(push, kit->kept[0], kit->at, H_END);
        for (int i = 0; alike == 1 && i < 5; i++)
            alike = PyObject_RichCompareBool(FIELD(first, kit->at[form[i]]), FIELD(push, kit->at[form[i]]), Py_EQ);
        Py_DECREF(push);
        if (alike != 1) break;
    }
    Py_DECREF(first);
    return alike < 0 ? NULL : PyLong_FromSsize_t(at);
}

/* ---- results.results_of */

enum { E_ACCEPTED, E_PUSH, E_RESULT, E_MODEL, E_OTHER, E_NOTHING, E_NO_TIME, E_GIVEN };
enum { I_TAG, I_OUTCOME, I_STATUS, I_REASON, I_TIMESTAMP, I_UNIQUE, I_WIRE_MS, I_END = 11 };
enum { E_PUSH_AT = X_END, E_RESULT_AT = E_PUSH_AT + H_END };
static const char *const result_fields[] = {"tag", "outcome", "status", "reason", "timestamp", "unique_id", "wire_ms",
                                            "retry_after", "retry", "device", "works", NULL};

static PyObject *accepted_result(Kit *kit, PyObject *outcome) {
    if (!whole(outcome, kit->kept[E_ACCEPTED], kit->at, X_END)) return NULL;
    PyObject *push = FIELD(outcome, kit->at[3]), *unique = FIELD(outcome, kit->at[2]), *ms = FIELD(outcome, kit->at[4]);
    if (!whole(push, kit->kept[E_PUSH], kit->at + E_PUSH_AT, H_END)) return NULL;
    PyObject *values[I_END];
    for (int i = 0; i < I_END; i++) values[i] = FIELD(kit->kept[E_MODEL], kit->at[E_RESULT_AT + i]);
    values[I_TAG] = FIELD(push, kit->at[E_PUSH_AT + H_TAG]);
    values[I_UNIQUE] = unique == Py_None ? kit->kept[E_NOTHING] : unique;
    values[I_WIRE_MS] = ms == Py_None ? kit->kept[E_NO_TIME] : ms;
    return filled(kit->kept[E_RESULT], kit->at + E_RESULT_AT, I_END, values);
}

/* results(outcomes) -> list of PushResult; what is not accepted goes to other(outcome) */
static PyObject *results(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    NEED(nargs == 1 && PyList_CheckExact(args[0]), "a book");
    if (!is_model(kit, kit->kept[E_MODEL], E_RESULT, E_RESULT_AT, I_END)) return NULL;
    PyObject *made = PyList_New(0);
    for (Py_ssize_t i = 0; made != NULL && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *outcome = Py_NewRef(PyList_GET_ITEM(args[0], i)), *result = accepted_result(kit, outcome);
        if (result == NULL && !PyErr_Occurred()) result = PyObject_CallOneArg(kit->kept[E_OTHER], outcome);
        if (result == NULL || PyList_Append(made, result) < 0) Py_CLEAR(made);
        Py_XDECREF(result);
        Py_DECREF(outcome);
    }
    return made;
}

/* ---- waiting.records_of_accepted */

enum { F_RESULT, F_TARGET, F_RECORD, F_MODEL, F_GIVEN };
enum { L_SEQUENCE, L_SLOT, L_OUTCOME, L_FINAL, L_AT, L_TOKEN, L_PROVIDER, L_ENVIRONMENT, L_CREDENTIAL, L_STATUS, L_REASON,
       L_TIMESTAMP, L_UNIQUE, L_ATTEMPT, L_QUEUED, L_WIRE, L_RETRY, L_OF, L_HELD, L_RECORD_END };
enum { F_TARGET_AT = I_END, F_RECORD_AT = F_TARGET_AT + G_TARGET_END };
static const char *const record_fields[] = {"sequence", "slot", "outcome", "final", "at", "token", "provider",
                                            "environment", "credential", "status", "reason", "timestamp", "unique_id",
                                            "attempt", "queued_ms", "wire_ms", "retry_at", "of", "held", NULL};

/* records(results, start, now) -> list of DeliveryRecord; None when the Python way is needed */
static PyObject *records(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t start, now;
    NEED(nargs == 3 && PyList_CheckExact(args[0]), "a book");
    if (!index_of(args[1], &start) || !index_of(args[2], &now)) return NULL;
    if (!is_model(kit, kit->kept[F_MODEL], F_RECORD, F_RECORD_AT, L_RECORD_END)) return NULL;
    PyObject *values[L_RECORD_END], *made = PyList_New(0), *known = NULL, *queued = NULL;
    for (int i = 0; i < L_RECORD_END; i++) values[i] = FIELD(kit->kept[F_MODEL], kit->at[F_RECORD_AT + i]);
    values[L_AT] = args[2];
    Py_ssize_t i = 0;
    for (; made != NULL && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *result = PyList_GET_ITEM(args[0], i); /* no other code runs while it is borrowed */
        if (!whole(result, kit->kept[F_RESULT], kit->at, I_END)) break;
        PyObject *target = FIELD(result, kit->at[I_TAG]), *ms = FIELD(result, kit->at[I_WIRE_MS]);
        if (!whole(target, kit->kept[F_TARGET], kit->at + F_TARGET_AT, G_TARGET_END)) break;
        if (ms != known) {
            Py_ssize_t wire;
            if (!index_of(ms, &wire)) break;
            Py_XSETREF(queued, PyLong_FromSsize_t(now - start - wire > 0 ? now - start - wire : 0));
            Py_XSETREF(known, Py_NewRef(ms));
            if (queued == NULL) break;
        }
        const Py_ssize_t *of = kit->at + F_TARGET_AT;
        values[L_SEQUENCE] = FIELD(target, of[G_SEQUENCE]);
        values[L_SLOT] = FIELD(target, of[G_SLOT]);
        values[L_TOKEN] = FIELD(target, of[G_DEVICE]);
        values[L_PROVIDER] = FIELD(target, of[G_PROVIDER]);
        values[L_ENVIRONMENT] = FIELD(target, of[G_ENVIRONMENT]);
        values[L_CREDENTIAL] = FIELD(target, of[G_CREDENTIAL]);
        values[L_ATTEMPT] = FIELD(target, of[G_ATTEMPT]);
        values[L_OF] = FIELD(target, of[G_OF]);
        values[L_OUTCOME] = FIELD(result, kit->at[I_OUTCOME]);
        values[L_STATUS] = FIELD(result, kit->at[I_STATUS]);
        values[L_REASON] = FIELD(result, kit->at[I_REASON]);
        values[L_TIMESTAMP] = FIELD(result, kit->at[I_TIMESTAMP]);
        values[L_UNIQUE] = FIELD(result, kit->at[I_UNIQUE]);
        values[L_QUEUED] = queued;
        values[L_WIRE] = ms;
        PyObject *record = filled(kit->kept[F_RECORD], kit->at + F_RECORD_AT, L_RECORD_END, values);
        if (record == NULL || PyList_Append(made, record) < 0) Py_CLEAR(made);
        Py_XDECREF(record);
    }
    if (made != NULL && i < PyList_GET_SIZE(args[0])) {
        Py_CLEAR(made);
        if (!PyErr_Occurred()) made = Py_NewRef(Py_None);
    }
    Py_XDECREF(known);
    Py_XDECREF(queued);
    return made;
}

/* ---- Plan: the devices of users, and tokens */

enum { U_TARGET, U_RECIPIENT, U_REACHED, U_MODEL, U_APN, U_GIVEN };
enum { U_TOKEN, U_USER, U_PROVIDER, U_END };
enum { RE_SLOT, RE_TOKEN, RE_PROVIDER, RE_ENVIRONMENT, RE_END };
enum { U_RECIPIENT_AT = G_TARGET_END, U_REACHED_AT = U_RECIPIENT_AT + U_END };
static const char *const recipient_fields[] = {"token", "user", "provider", NULL};
static const char *const reached_fields[] = {"slot", "token", "provider", "environment", NULL};

/* Appends the target of one device: 1, or 0 when the Python way is needed, -1 with an exception. `device` has slot,
 * token, provider and environment. */
static int add_target(Kit *kit, PyObject *targets, PyObject *sequence, PyObject *const *device, PyObject *of,
                      PyObject *choices) {
    for (int i = 0; i < RE_END; i++)
        if (device[i] == NULL) return 0;
    if (device[RE_PROVIDER] != kit->kept[U_APN]) return 0;
    PyObject *choice = NULL;
    for (Py_ssize_t i = 0; choice == NULL && i < PyTuple_GET_SIZE(choices); i++) {
        PyObject *one = PyTuple_GET_ITEM(choices, i);
        if (!PyTuple_CheckExact(one) || PyTuple_GET_SIZE(one) != 3) return 0;
        if (PyTuple_GET_ITEM(one, 0) == device[RE_ENVIRONMENT]) choice = one;
    }
    if (choice == NULL) return 0;
    PyObject *values[G_TARGET_END];
    for (int i = 0; i < G_TARGET_END; i++) values[i] = FIELD(kit->kept[U_MODEL], kit->at[i]);
    values[G_SEQUENCE] = sequence;
    values[G_SLOT] = device[RE_SLOT];
    values[G_DEVICE] = device[RE_TOKEN];
    values[G_PROVIDER] = device[RE_PROVIDER];
    values[G_CREDENTIAL] = PyTuple_GET_ITEM(choice, 1);
    values[G_ENVIRONMENT] = PyTuple_GET_ITEM(choice, 2);
    if (of != NULL) values[G_OF] = of;
    PyObject *target = filled(kit->kept[U_TARGET], kit->at, G_TARGET_END, values);
    int status = target == NULL || PyList_Append(targets, target) < 0 ? -1 : 1;
    Py_XDECREF(target);
    return status;
}

/* The targets of one recipient: 1, or 0 with nothing added, -1 with an exception. */
static int add_recipient(Kit *kit, PyObject *targets, PyObject *sequence, PyObject *recipient, PyObject *users,
                         PyObject *tokens, PyObject *choices) {
    const Py_ssize_t *at = kit->at + U_RECIPIENT_AT, *reached = kit->at + U_REACHED_AT;
    if (!whole(recipient, kit->kept[U_RECIPIENT], at, U_END)) return 0;
    PyObject *user = FIELD(recipient, at[U_USER]), *token = FIELD(recipient, at[U_TOKEN]);
    if (!PyBytes_CheckExact(user) || !PyBytes_CheckExact(token)) return 0;
    if (PyBytes_GET_SIZE(user) == 0) {
        if (PyBytes_GET_SIZE(token) == 0) return 0;
        PyObject *known = PyDict_GetItemWithError(tokens, token);
        if (known == NULL && PyErr_Occurred()) return -1;
        PyObject *device[] = {FIELD(kit->kept[U_MODEL], kit->at[G_SLOT]), token, FIELD(recipient, at[U_PROVIDER]),
                              known == NULL ? Py_None : known};
        return add_target(kit, targets, sequence, device, NULL, choices);
    }
    PyObject *devices = PyDict_GetItemWithError(users, user);
    if (devices == NULL || !PyList_CheckExact(devices) || PyList_GET_SIZE(devices) == 0) return PyErr_Occurred() ? -1 : 0;
    Py_ssize_t before = PyList_GET_SIZE(targets);
    PyObject *of = PyLong_FromSsize_t(PyList_GET_SIZE(devices));
    int status = of == NULL ? -1 : 1;
    for (Py_ssize_t i = 0; status == 1 && i < PyList_GET_SIZE(devices); i++) {
        PyObject *device = PyList_GET_ITEM(devices, i); /* no other code runs while it is borrowed */
        if (!Py_IS_TYPE(device, (PyTypeObject *)kit->kept[U_REACHED])) status = 0;
        PyObject *parts[RE_END];
        for (int k = 0; status == 1 && k < RE_END; k++) parts[k] = FIELD(device, reached[k]);
        if (status == 1) status = add_target(kit, targets, sequence, parts, of, choices);
    }
    Py_XDECREF(of);
    if (status == 0 && PyList_SetSlice(targets, before, PyList_GET_SIZE(targets), NULL) < 0) status = -1;
    return status;
}

/* targets(open, at, stop, users, tokens, choices, targets) -> where it came to: `open` has sequences and recipients,
 * `choices` what is known of a device's environment, and the credential and environment for it; whose is not among them
 * needs a second look */
static PyObject *targets(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at, stop;
    NEED(nargs == 7, "the number of arguments");
    if (!index_of(args[1], &at) || !index_of(args[2], &stop)) return NULL;
    NEED(PyList_CheckExact(args[0]) && PyList_CheckExact(args[6]) && at >= 0, "a book");
    NEED(PyDict_CheckExact(args[3]) && PyDict_CheckExact(args[4]) && PyTuple_CheckExact(args[5]), "a book");
    if (!is_model(kit, kit->kept[U_MODEL], U_TARGET, 0, G_TARGET_END)) return NULL;
    for (; at < stop && at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(args[0], at));
        int status = PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2;
        if (status)
            status = add_recipient(kit, args[6], PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), args[3], args[4],
                                   args[5]);
        Py_DECREF(pair);
        if (status < 0) return NULL;
        if (!status) break;
    }
    return PyLong_FromSsize_t(at);
}
