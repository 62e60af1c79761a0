/* Twins for answers: header blocks in whatever way a server writes them, errors with a body, and what becomes of them.
 *
 * A part of _native.c. What is unusual is handed back where it is met, in the middle of a header block too: then Python
 * goes on behind the fields that were read here. The dynamic table is the decoder's own list.
 */

/* ---- Decoder.decode */

enum { HP_TABLE, HP_SIZE, HP_MOST, HP_SHRINK, HP_GENERATION, HP_END };
static const char *const decoder_fields[] = {"_dynamic", "_size", "_max", "_must_shrink", "generation", NULL};

#define FIRST_DYNAMIC 62
#define MOST_FIELDS 32 /* of one block; Python reads the others */
#define MOST_CODED 640 /* bytes of a Huffman string; no code has fewer than five bits */

/* A decoder while we read: what is in its slots as numbers. */
typedef struct {
    PyObject *decoder, *table;
    const Py_ssize_t *at; /* HP_ */
    const unsigned char *codes; /* for each next byte: the symbol it starts with, and its bits, if they are 5 to 8 */
    Py_ssize_t size, most, generation;
    int changed;
} Hpack;

/* A header block while we read it. */
typedef struct {
    const unsigned char *text;
    Py_ssize_t at, end;
    PyObject *pairs[MOST_FIELDS]; /* what was read: tuples of two bytes objects */
    int count;
} Block;

static inline int is_pair(PyObject *pair) {
    return PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 && PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 0)) &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 1));
}

static inline int same_bytes(PyObject *one, PyObject *other) {
    return one == other || (PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other) &&
                            !memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)PyBytes_GET_SIZE(one)));
}

static inline int is_text(PyObject *bytes, const char *text, Py_ssize_t size) {
    return PyBytes_GET_SIZE(bytes) == size && !memcmp(PyBytes_AS_STRING(bytes), text, (size_t)size);
}

/* What a field counts in the table. */
static inline Py_ssize_t weight(PyObject *pair) {
    return PyBytes_GET_SIZE(PyTuple_GET_ITEM(pair, 0)) + PyBytes_GET_SIZE(PyTuple_GET_ITEM(pair, 1)) + 32;
}

/* Takes a decoder's slots over: 1 done, 0 Python has to do it, -1 an exception. */
static int open_decoder(PyObject *decoder, const Py_ssize_t *at, PyObject *codes, Hpack *it) {
    PyObject *size = FIELD(decoder, at[HP_SIZE]), *most = FIELD(decoder, at[HP_MOST]);
    PyObject *table = FIELD(decoder, at[HP_TABLE]), *generation = FIELD(decoder, at[HP_GENERATION]);
    *it = (Hpack){.decoder = decoder, .at = at, .table = table};
    if (!table || !size || !most || !generation || FIELD(decoder, at[HP_SHRINK]) != Py_False) return 0;
    if (!PyBytes_CheckExact(codes) || PyBytes_GET_SIZE(codes) != 512) return 0;
    if (!PyList_CheckExact(table) || PyList_GET_SIZE(table) < FIRST_DYNAMIC) return 0;
    if (!index_of(size, &it->size) || !index_of(most, &it->most) || !index_of(generation, &it->generation)) return -1;
    it->codes = (const unsigned char *)PyBytes_AS_STRING(codes);
    return 1;
}

/* Gives the slots back: 0, or -1 with an exception; one that is set stays set. */
static int close_decoder(Hpack *it) {
    if (!it->changed) return 0;
    it->changed = 0;
    PyObject *size = PyLong_FromSsize_t(it->size), *generation = PyLong_FromSsize_t(it->generation);
    int good = size != NULL && generation != NULL;
    if (good) {
        change_field(it->decoder, it->at[HP_SIZE], size);
        change_field(it->decoder, it->at[HP_GENERATION], generation);
    }
    Py_XDECREF(size);
    Py_XDECREF(generation);
    return good ? 0 : -1;
}

/* In what follows up to `read_fields`, "unusual" means: nothing was done, and no exception is set. */

/* An integer with a prefix (RFC 7541 5.1) of at most three more bytes; -1 when it is longer or ends early. */
static inline Py_ssize_t prefixed(const unsigned char *text, Py_ssize_t *at, Py_ssize_t end, int mask) {
    Py_ssize_t value = text[(*at)++] & mask;
    if (value < mask) return value;
    for (int shift = 0; shift <= 14 && *at < end; shift += 7) {
        int byte = text[(*at)++];
        value += (Py_ssize_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    return -1;
}

/* The text behind Huffman's code (RFC 7541 5.2); NULL when it is unusual: long, with rare symbols, or wrong. */
static PyObject *uncoded(const unsigned char *codes, const unsigned char *from, Py_ssize_t length) {
    char text[MOST_CODED * 8 / 5];
    Py_ssize_t size = 0;
    uint64_t bits = 0; /* the last `held` of them are still to be read */
    int held = 0;
    if (length > MOST_CODED) return NULL;
    for (const unsigned char *stop = from + length;;) {
        for (; held <= 56 && from < stop; held += 8) bits = bits << 8 | *from++;
        if (held < 8) break;
        do {
            const unsigned char *code = codes + 2 * (bits >> (held - 8) & 0xFF);
            if (code[1] < 5 || code[1] > 8) return NULL;
            text[size++] = (char)code[0];
            held -= code[1];
        } while (held >= 8);
    }
    while (held > 0) {
        unsigned last = (unsigned)(bits << (8 - held) | 0xFFu >> held) & 0xFF;
        if (last == 0xFF) break; /* the padding */
        const unsigned char *code = codes + 2 * last;
        if (code[1] < 5 || code[1] > held) return NULL;
        text[size++] = (char)code[0];
        held -= code[1];
    }
    return PyBytes_FromStringAndSize(text, size);
}

/* The string at *at (RFC 7541 5.2), and *at behind it; NULL when it is unusual. */
static inline PyObject *string_at(const Hpack *it, const Block *block, Py_ssize_t *at) {
    if (*at >= block->end) return NULL;
    int coded = block->text[*at] & 0x80;
    Py_ssize_t length = prefixed(block->text, at, block->end, 0x7F);
    if (length < 0 || length > block->end - *at) return NULL;
    const unsigned char *from = block->text + *at;
    *at += length;
    return coded ? uncoded(it->codes, from, length) : PyBytes_FromStringAndSize((const char *)from, length);
}

/* Decoder._evict and ._insert: 0, or -1 with an exception. */
static int insert(Hpack *it, PyObject *pair) {
    Py_ssize_t size = weight(pair), stop = PyList_GET_SIZE(it->table), last = stop;
    it->changed = 1;
    it->generation++;
    while (it->size > it->most - size && last > FIRST_DYNAMIC) {
        PyObject *oldest = PyList_GET_ITEM(it->table, last - 1);
        if (!is_pair(oldest)) {
            PyErr_SetString(PyExc_TypeError, "the table holds something else than pairs");
            return -1;
        }
        it->size -= weight(oldest);
        last--;
    }
    if (last < stop && PyList_SetSlice(it->table, last, stop, NULL) < 0) return -1;
    if (size > it->most) return 0;
    if (PyList_Insert(it->table, FIRST_DYNAMIC, pair) < 0) return -1;
    it->size += size;
    return 0;
}

/* Reads one field (RFC 7541 6.1, 6.2): 1 read, 0 unusual, -1 an exception. */
static int read_field(Hpack *it, Block *block) {
    Py_ssize_t at = block->at, index;
    int first = block->text[at], enters = (first & 0xC0) == 0x40;
    PyObject *pair, *name, *value;
    if (first & 0x80) {
        index = prefixed(block->text, &at, block->end, 0x7F);
        if (index <= 0 || index >= PyList_GET_SIZE(it->table)) return 0;
        pair = PyList_GET_ITEM(it->table, index);
        if (!is_pair(pair)) return 0;
        Py_INCREF(pair);
    } else {
        if ((first & 0xE0) == 0x20 || (first & 0xEF) == 0x04) return 0; /* a path is a matter of servers */
        index = prefixed(block->text, &at, block->end, enters ? 0x3F : 0x0F);
        if (index < 0 || index >= PyList_GET_SIZE(it->table)) return 0;
        if (index) {
            pair = PyList_GET_ITEM(it->table, index);
            if (!is_pair(pair)) return 0;
            name = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        } else name = string_at(it, block, &at);
        value = name == NULL ? NULL : string_at(it, block, &at);
        pair = value == NULL ? NULL : PyTuple_Pack(2, name, value);
        Py_XDECREF(name);
        Py_XDECREF(value);
        if (pair == NULL) return PyErr_Occurred() ? -1 : 0;
        if (enters && insert(it, pair) < 0) {
            Py_DECREF(pair);
            return -1;
        }
    }
    block->pairs[block->count++] = pair;
    block->at = at;
    return 1;
}

/* Table size updates that change nothing (RFC 7541 6.3), then fields: 1 all was read, 0 unusual from `at` on, -1 an
 * exception; 2 unusual, and nothing may have been read. */
static int read_block(Hpack *it, Block *block) {
    while (block->at < block->end && (block->text[block->at] & 0xE0) == 0x20)
        if (prefixed(block->text, &block->at, block->end, 0x1F) != it->most) return 2;
    while (block->at < block->end) {
        int status = block->count == MOST_FIELDS ? 0 : read_field(it, block);
        if (status != 1) return status;
    }
    return 1;
}

/* The pairs from `first` on, as a new list or tuple. */
static PyObject *pairs_from(const Block *block, int first, int listed) {
    PyObject *found = listed ? PyList_New(block->count - first) : PyTuple_New(block->count - first);
    for (int i = first; found != NULL && i < block->count; i++) {
        PyObject *pair = Py_NewRef(block->pairs[i]);
        if (listed) PyList_SET_ITEM(found, i - first, pair);
        else PyTuple_SET_ITEM(found, i - first, pair);
    }
    return found;
}

static void clear_block(Block *block) {
    for (int i = 0; i < block->count; i++) Py_DECREF(block->pairs[i]);
    block->count = 0;
}

/* ---- ClientSession._frames, for the frames of answers */

/* The first four are those of read_plain, which reads the rows of plain answers that come between. */
enum { Q_ANSWER = P_EMPTY + 1, Q_DECODER, Q_SHAPE, Q_MODEL, Q_STATUSES, Q_CODES, Q_GIVEN };
enum { AN_STATUS, AN_HEADERS, AN_EXPECTED, AN_SIZE, AN_KEPT, AN_CREDIT, AN_INFORMATIONAL, AN_BODY, AN_END };
enum { SH_FAULT, SH_SIZE, SH_LENGTH_AT, SH_TE_AT, SH_END };
enum { ANSWER_AT = P_REQUEST_AT + R_END, DECODER_AT = ANSWER_AT + AN_END, SHAPE_AT = DECODER_AT + HP_END };
enum { K_OPENED, K_ANSWERS, K_BLOCKED, K_CREDIT, K_DECODER, K_SHAPES, K_MAX_LIST, K_MAX_OWN, K_MAX_BODY, K_LOW,
       K_LOW_STREAM, K_END };
static const char *const answer_fields[] = {"status", "headers", "expected",      "size", "kept",
                                            "credit", "informational", "body", NULL};
static const char *const shape_fields[] = {"fault", "size", "length_at", "te_at", NULL};

/* A session while we read. */
typedef struct {
    Kit *kit;
    PyObject *const *books; /* K_ */
    PyObject *events;
    Py_ssize_t max_list, max_own, max_body, low, low_stream, receive;
    Hpack hpack;
} Reader;

/* Whether a body of this stream waits, or credit is noted for it; -1 with an exception. */
static inline int is_busy(const Reader *reader, PyObject *sid) {
    for (int i = K_BLOCKED; i <= K_CREDIT; i++) { /* they are empty, nearly always */
        int found = PyDict_GET_SIZE(reader->books[i]) ? PyDict_Contains(reader->books[i], sid) : 0;
        if (found) return found;
    }
    return 0;
}

/* Reports an answer and takes its stream from the book of open ones: 1, or -1 with an exception. */
static int report(const Reader *reader, PyObject *sid, PyObject *request, PyObject *status, PyObject *headers,
                  PyObject *body) {
    const Py_ssize_t *at = reader->kit->at;
    PyObject *values[] = {FIELD(request, at[P_REQUEST_AT + R_TAG]), status, headers, body};
    PyObject *event = filled(reader->kit->kept[P_ANSWERED], at, P_REQUEST_AT, values);
    int good = event != NULL && PyList_Append(reader->events, event) == 0;
    Py_XDECREF(event);
    return good && PyDict_DelItem(reader->books[K_OPENED], sid) == 0 ? 1 : -1;
}

/* Checker.check for what is well formed: 1 it is, 0 Python has to look, -1 an exception. */
static int check_section(const Reader *reader, const Block *block, Py_ssize_t *expected) {
    const Py_ssize_t *at = reader->kit->at + SHAPE_AT;
    Py_ssize_t total, length_at, te_at;
    PyObject *names = PyTuple_New(block->count);
    if (names == NULL) return -1;
    for (int i = 0; i < block->count; i++)
        PyTuple_SET_ITEM(names, i, Py_NewRef(PyTuple_GET_ITEM(block->pairs[i], 0)));
    PyObject *shape = PyDict_GetItemWithError(reader->books[K_SHAPES], names);
    Py_DECREF(names);
    if (shape == NULL) return PyErr_Occurred() ? -1 : 0;
    if (!Py_IS_TYPE(shape, (PyTypeObject *)reader->kit->kept[Q_SHAPE])) return 0;
    if (FIELD(shape, at[SH_FAULT]) != Py_None) return 0;
    if (!index_of(FIELD(shape, at[SH_SIZE]), &total) || !index_of(FIELD(shape, at[SH_TE_AT]), &te_at)) return -1;
    if (!index_of(FIELD(shape, at[SH_LENGTH_AT]), &length_at)) return -1;
    if (te_at >= 0 || length_at >= block->count) return 0;
    for (int i = 0; i < block->count; i++) {
        PyObject *value = PyTuple_GET_ITEM(block->pairs[i], 1);
        const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(value);
        Py_ssize_t size = PyBytes_GET_SIZE(value);
        total += size;
        if (size == 0) continue;
        if (text[0] <= ' ' || text[size - 1] <= ' ' || memchr(text, 0, (size_t)size)) return 0;
        if (memchr(text, '\n', (size_t)size) || memchr(text, '\r', (size_t)size)) return 0;
    }
    if (total > reader->max_list) return 0;
    *expected = -1;
    if (length_at >= 0) {
        PyObject *value = PyTuple_GET_ITEM(block->pairs[length_at], 1);
        const char *text = PyBytes_AS_STRING(value);
        Py_ssize_t size = PyBytes_GET_SIZE(value), number = 0;
        if (size < 1 || size > 15) return 0;
        for (Py_ssize_t i = 0; i < size; i++) {
            if (text[i] < '0' || text[i] > '9') return 0;
            number = number * 10 + (text[i] - '0');
        }
        *expected = number;
    }
    return 1;
}

/* ClientFrames._on_answer, for a section that was read: 1 done, 0 Python has to do it, -1 an exception. */
static int take_section(const Reader *reader, PyObject *sid, PyObject *request, int ends, const Block *block, int own) {
    Py_ssize_t expected;
    int good = block->count ? check_section(reader, block, &expected) : 0;
    if (good != 1) return good;
    Kit *kit = reader->kit;
    PyObject *status = PyDict_GetItemWithError(kit->kept[Q_STATUSES], PyTuple_GET_ITEM(block->pairs[0], 1));
    if (status == NULL) return PyErr_Occurred() ? -1 : 0;
    if (ends && ((own && status == kit->kept[P_OK]) || expected > 0)) return 0;
    PyObject *headers = pairs_from(block, 1, 0);
    if (headers == NULL) return -1;
    if (ends) {
        good = report(reader, sid, request, status, headers, kit->kept[P_EMPTY]);
        Py_DECREF(headers);
        return good;
    }
    PyObject *announced = PyLong_FromSsize_t(expected), *values[AN_END] = {status, headers, announced};
    for (int i = AN_SIZE; i < AN_END; i++) values[i] = FIELD(kit->kept[Q_MODEL], kit->at[ANSWER_AT + i]);
    PyObject *answer =
        announced == NULL ? NULL : filled(kit->kept[Q_ANSWER], kit->at + ANSWER_AT, AN_END, values);
    good = answer != NULL && PyDict_SetItem(reader->books[K_ANSWERS], sid, answer) == 0 ? 1 : -1;
    Py_XDECREF(answer);
    Py_XDECREF(announced);
    Py_DECREF(headers);
    return good;
}

/* Whether what comes next in this way can be read by comparing: Python then learns how (ClientFrames._learn_plain). */
static int is_learnable(const Block *block, PyObject *own) {
    Py_ssize_t size = PyBytes_GET_SIZE(own), cut = block->end - size;
    return size > 0 && size < 0x7F && cut > 0 && block->text[cut - 1] == size &&
           !memcmp(block->text + cut, PyBytes_AS_STRING(own), (size_t)size);
}

/* ClientFrames._on_block: 1 done, 0 Python has to do the whole of it, -1 an exception. 2: it was read up to block->at
 * and Python has to do the rest. */
static int take_block(Reader *reader, PyObject *sid, int ends, Block *block) {
    Kit *kit = reader->kit;
    PyObject *request = PyDict_GetItemWithError(reader->books[K_OPENED], sid); /* no other code runs meanwhile */
    if (request == NULL || !Py_IS_TYPE(request, (PyTypeObject *)kit->kept[P_REQUEST])) return PyErr_Occurred() ? -1 : 0;
    int busy = PyDict_GET_SIZE(reader->books[K_ANSWERS]) ? PyDict_Contains(reader->books[K_ANSWERS], sid) : 0;
    if (busy == 0) busy = is_busy(reader, sid);
    PyObject *fields = FIELD(request, kit->at[P_REQUEST_AT + R_FIELDS]);
    if (busy || !PyTuple_CheckExact(fields)) return busy < 0 ? -1 : 0;
    PyObject *pair = PyTuple_GET_SIZE(fields) ? PyTuple_GET_ITEM(fields, 0) : NULL;
    if (pair != NULL && !is_pair(pair)) return 0;
    Py_ssize_t generation = reader->hpack.generation;
    int status = read_block(&reader->hpack, block);
    if (status != 1) return status == 2 ? 0 : status < 0 ? -1 : 2;
    int own = 0;
    if (block->count == 2 && pair != NULL) {
        PyObject *name = PyTuple_GET_ITEM(block->pairs[1], 0), *id = PyTuple_GET_ITEM(block->pairs[1], 1);
        own = same_bytes(id, PyTuple_GET_ITEM(pair, 1)) && same_bytes(name, PyTuple_GET_ITEM(pair, 0));
        if (own && ends && is_text(name, "apns-id", 7) && PyBytes_GET_SIZE(id) <= reader->max_own &&
            is_text(PyTuple_GET_ITEM(block->pairs[0], 0), ":status", 7) &&
            is_text(PyTuple_GET_ITEM(block->pairs[0], 1), "200", 3)) {
            if (reader->hpack.generation == generation && is_learnable(block, id)) return 2;
            return report(reader, sid, request, kit->kept[P_OK], Py_None, kit->kept[P_EMPTY]);
        }
    }
    status = take_section(reader, sid, request, ends, block, own);
    return status == 0 ? 2 : status;
}

/* A piece of a body that ends nothing, as ClientFrames._on_data counts it: 1 done, 0 Python has to do it, -1 an
 * exception. */
static int keep_piece(const Reader *reader, PyObject *answer, PyObject *piece) {
    const Py_ssize_t *at = reader->kit->at + ANSWER_AT, size = PyBytes_GET_SIZE(piece);
    PyObject *body = FIELD(answer, at[AN_BODY]), *counts[3] = {NULL, NULL, NULL};
    const int kinds[3] = {AN_SIZE, AN_KEPT, AN_CREDIT};
    Py_ssize_t now[3];
    for (int i = 0; i < 3; i++)
        if (!index_of(FIELD(answer, at[kinds[i]]), &now[i])) return -1;
    if (size == 0 || size > reader->max_body - now[1] || now[2] - size <= reader->low_stream) return 0;
    if (body != Py_None && !PyList_CheckExact(body)) return 0;
    int good = 1;
    for (int i = 0; i < 3; i++) good = (counts[i] = PyLong_FromSsize_t(i == 2 ? now[2] - size : now[i] + size)) && good;
    body = good ? body == Py_None ? PyList_New(0) : Py_NewRef(body) : NULL;
    good = body != NULL && PyList_Append(body, piece) == 0;
    for (int i = 0; i < 3 && good; i++) change_field(answer, at[kinds[i]], counts[i]);
    if (good) change_field(answer, at[AN_BODY], body);
    for (int i = 0; i < 3; i++) Py_XDECREF(counts[i]);
    Py_XDECREF(body);
    return good ? 1 : -1;
}

/* The body that ends with this piece: a new reference; NULL where it is unusual, or with an exception. */
static PyObject *whole_body(const Reader *reader, PyObject *answer, PyObject *piece) {
    const Py_ssize_t *at = reader->kit->at + ANSWER_AT, size = PyBytes_GET_SIZE(piece);
    Py_ssize_t expected, before, kept;
    if (!index_of(FIELD(answer, at[AN_EXPECTED]), &expected)) return NULL;
    if (!index_of(FIELD(answer, at[AN_KEPT]), &kept) || !index_of(FIELD(answer, at[AN_SIZE]), &before)) return NULL;
    if (size > reader->max_body - kept || (expected != -1 && expected != before + size)) return NULL;
    PyObject *body = FIELD(answer, at[AN_BODY]);
    if (body == Py_None) return Py_NewRef(piece);
    if (!PyList_CheckExact(body) || PyList_GET_SIZE(body) != 1) return NULL;
    PyObject *first = PyList_GET_ITEM(body, 0);
    if (!PyBytes_CheckExact(first)) return NULL;
    Py_INCREF(first);
    if (size) PyBytes_Concat(&first, piece);
    return first;
}

/* One DATA frame without padding: 1 done, 0 Python has to do it, -1 an exception. */
static int take_data(Reader *reader, PyObject *sid, const unsigned char *frame, Py_ssize_t size) {
    Kit *kit = reader->kit;
    const Py_ssize_t *at = kit->at + ANSWER_AT;
    PyObject *answer = PyDict_GetItemWithError(reader->books[K_ANSWERS], sid); /* no other code runs meanwhile */
    if (answer == NULL || !Py_IS_TYPE(answer, (PyTypeObject *)kit->kept[Q_ANSWER])) return PyErr_Occurred() ? -1 : 0;
    for (int i = 0; i < AN_END; i++)
        if (FIELD(answer, at[i]) == NULL) return 0;
    if (PyObject_Not(FIELD(answer, at[AN_STATUS])) || reader->receive - size <= reader->low) return 0;
    PyObject *request = PyDict_GetItemWithError(reader->books[K_OPENED], sid);
    if (request == NULL || !Py_IS_TYPE(request, (PyTypeObject *)kit->kept[P_REQUEST])) return PyErr_Occurred() ? -1 : 0;
    int status = is_busy(reader, sid);
    if (status) return status < 0 ? -1 : 0;
    PyObject *piece = PyBytes_FromStringAndSize((const char *)frame + 9, size);
    if (piece == NULL) return -1;
    if (frame[4] & 1) {
        PyObject *body = whole_body(reader, answer, piece);
        if (body == NULL) status = PyErr_Occurred() ? -1 : 0;
        else status = report(reader, sid, request, FIELD(answer, at[AN_STATUS]), FIELD(answer, at[AN_HEADERS]), body);
        Py_XDECREF(body);
        if (status == 1 && PyDict_DelItem(reader->books[K_ANSWERS], sid) < 0) status = -1;
    } else status = keep_piece(reader, answer, piece);
    Py_DECREF(piece);
    if (status == 1) reader->receive -= size;
    return status;
}

/* The books of a session: 1 as expected, 0 Python has to do it, -1 an exception. */
static int open_books(Kit *kit, PyObject *given, Reader *reader) {
    PyObject *const *books = PyTuple_CheckExact(given) ? ((PyTupleObject *)given)->ob_item : NULL;
    int good = books != NULL && PyTuple_GET_SIZE(given) == K_END &&
               Py_IS_TYPE(books[K_DECODER], (PyTypeObject *)kit->kept[Q_DECODER]) && PyDict_CheckExact(books[K_SHAPES]);
    for (int i = K_OPENED; i <= K_CREDIT; i++) good = good && PyDict_CheckExact(books[i]);
    if (!good) {
        PyErr_SetString(PyExc_TypeError, "a book is not as expected");
        return -1;
    }
    reader->kit = kit;
    reader->books = books;
    if (!index_of(books[K_MAX_LIST], &reader->max_list) || !index_of(books[K_MAX_OWN], &reader->max_own)) return -1;
    if (!index_of(books[K_MAX_BODY], &reader->max_body) || !index_of(books[K_LOW], &reader->low)) return -1;
    if (!index_of(books[K_LOW_STREAM], &reader->low_stream)) return -1;
    return open_decoder(books[K_DECODER], kit->at + DECODER_AT, kit->kept[Q_CODES], &reader->hpack);
}

/* The row of plain answers at *at, and *at behind it: 0, or -1 with an exception. `known` is (front, lead). */
static int take_plain(const Reader *reader, PyObject *data, PyObject *const *known, Py_ssize_t size, Py_ssize_t *at) {
    const Py_ssize_t own_size = size - PyBytes_GET_SIZE(known[1]);
    PyObject *own = PyLong_FromSsize_t(own_size), *start = PyLong_FromSsize_t(*at), *const *books = reader->books;
    PyObject *given[] = {data,          start,           known[0],          known[1],         own, books[K_OPENED],
                         reader->events, books[K_ANSWERS], books[K_BLOCKED], books[K_CREDIT]};
    PyObject *past = start == NULL || own == NULL ? NULL : read_plain(reader->kit, given, 10);
    int good = past != NULL && index_of(past, at);
    Py_XDECREF(past);
    Py_XDECREF(own);
    Py_XDECREF(start);
    return good ? 0 : -1;
}

/* One HEADERS frame: 1 done, 0 Python has to do it, -1 an exception, 2 Python has to go on with `rest`. */
static int take_head(Reader *reader, PyObject *sid, const unsigned char *frame, Py_ssize_t size, PyObject **rest) {
    Block block = {.text = frame + 9, .at = 0, .end = size, .count = 0};
    Py_ssize_t generation = reader->hpack.generation;
    int flags = frame[4], status = take_block(reader, sid, flags & 1, &block);
    if (status == 2) {
        PyObject *pairs = pairs_from(&block, 0, 1);
        if (pairs != NULL) *rest = Py_BuildValue("Oiy#nNn", sid, flags, frame + 9, size, block.at, pairs, generation);
        if (*rest == NULL) status = -1;
    }
    clear_block(&block);
    return status;
}

/* read_answers(data, at, events, books, front, lead, plain_size, receive) -> (at, receive, rest)
 *
 * Reads the frames of answers from `at` on, up to the first that is something else or unusual. `rest` is None, or what
 * ClientFrames._on_block has to go on with: (sid, flags, block, at, pairs, generation). plain_size is -1 when nothing
 * is known of plain answers. */
static PyObject *read_answers(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at, plain_size;
    Reader reader;
    NEED(nargs == 8, "the number of arguments");
    if (!index_of(args[1], &at) || !index_of(args[6], &plain_size) || !index_of(args[7], &reader.receive)) return NULL;
    PyObject *data = args[0], *rest = NULL;
    reader.events = args[2];
    NEED(PyList_CheckExact(reader.events) && PyBytes_CheckExact(args[5]), "a list");
    NEED(Py_IS_TYPE(kit->kept[Q_MODEL], (PyTypeObject *)kit->kept[Q_ANSWER]), "the model");
    NEED(at >= 0 && PyDict_CheckExact(kit->kept[Q_STATUSES]), "a number or a book");
    int status = open_books(kit, args[3], &reader);
    if (status < 0) return NULL;
    const Py_ssize_t end = status && PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) : 0;
    const Py_ssize_t generation = reader.hpack.generation;
    while (end - at >= 9) {
        const unsigned char *frame = (const unsigned char *)PyBytes_AS_STRING(data) + at;
        Py_ssize_t size = (Py_ssize_t)frame[0] << 16 | (Py_ssize_t)frame[1] << 8 | frame[2], before = at;
        int is_head = frame[3] == 1 && (frame[4] | 1) == 5, is_data = frame[3] == 0 && frame[4] <= 1;
        if (!(is_head || is_data) || size > LARGEST_BLOCK || size > end - at - 9) break;
        if (is_head && size == plain_size && reader.hpack.generation == generation) { /* learned with this table */
            if (take_plain(&reader, data, args + 4, size, &at) < 0) goto failed;
            if (at > before) continue;
        }
        uint32_t number = (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
        PyObject *sid = PyLong_FromUnsignedLong(number);
        if (sid == NULL) goto failed;
        status = is_data ? take_data(&reader, sid, frame, size) : take_head(&reader, sid, frame, size, &rest);
        Py_DECREF(sid);
        if (status < 0) goto failed;
        if (status == 0) break;
        at += 9 + size;
        if (status == 2) break;
    }
    if (close_decoder(&reader.hpack) < 0) goto failed;
    return Py_BuildValue("nnN", at, reader.receive, rest == NULL ? Py_NewRef(Py_None) : rest);
failed:
    (void)close_decoder(&reader.hpack);
    Py_XDECREF(rest);
    return NULL;
}

/* ---- answers.header */

/* The first value of a header as text, or None; NULL without an exception where the headers are unusual. */
static PyObject *header_text(PyObject *headers, PyObject *name) {
    if (!PyTuple_CheckExact(headers) || !PyBytes_CheckExact(name)) return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(headers); i++) {
        PyObject *pair = PyTuple_GET_ITEM(headers, i);
        if (!is_pair(pair)) return NULL;
        PyObject *value = PyTuple_GET_ITEM(pair, 1);
        if (same_bytes(PyTuple_GET_ITEM(pair, 0), name))
            return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), "replace");
    }
    return Py_NewRef(Py_None);
}

/* ---- Connection._rejected */

/* The same places as in `accept`, for the sake of `settle`. */
enum { V_REJECTED = C_ACCEPTED, V_REASONS = C_HEADER, V_RETRY = C_OK, V_OK = C_UNIQUE };
enum { V_REJECTED_AT = C_ACCEPTED_AT, V_END = 8 };
static const char *const rejected_fields[] = {"device_token", "apns_id",     "status", "reason",  "timestamp",
                                              "retry_after",  "tag",         "wire_ms", NULL};

/* The body {"reason":"...","timestamp":...}, the latter if there: 1 with the reason as the table has it and the
 * timestamp or None (a new reference), 0 unusual, -1 an exception. */
static int read_reason(PyObject *body, PyObject *reasons, PyObject **reason, PyObject **timestamp) {
    static const char before[] = "{\"reason\":\"", between[] = "\"timestamp\":";
    const Py_ssize_t before_size = sizeof before - 1, between_size = sizeof between - 1;
    if (!PyBytes_CheckExact(body) || PyBytes_GET_SIZE(body) < before_size + 2) return 0;
    const char *at = PyBytes_AS_STRING(body), *end = at + PyBytes_GET_SIZE(body);
    if (memcmp(at, before, (size_t)before_size)) return 0;
    at += before_size;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    if (quote == NULL || end - quote < 2) return 0;
    PyObject *word = PyBytes_FromStringAndSize(at, quote - at);
    if (word == NULL) return -1;
    *reason = PyDict_GetItemWithError(reasons, word);
    Py_DECREF(word);
    if (*reason == NULL) return PyErr_Occurred() ? -1 : 0;
    at = quote + 1;
    if (end - at == 1 && *at == '}') {
        *timestamp = Py_NewRef(Py_None);
        return 1;
    }
    if (*at++ != ',' || end - at < between_size || memcmp(at, between, (size_t)between_size)) return 0;
    at += between_size;
    Py_ssize_t digits = end - at - 1;
    if (digits < 1 || digits > 14 || end[-1] != '}' || (*at == '0' && digits > 1)) return 0; /* 14 nines are a time */
    long long number = 0;
    for (; digits > 0; digits--, at++) {
        if (*at < '0' || *at > '9') return 0;
        number = number * 10 + (*at - '0');
    }
    *timestamp = PyLong_FromLongLong(number);
    return *timestamp == NULL ? -1 : 1;
}

/* reject(events, at, now, heed) -> at. Gives their outcome to the pushes of a row of rejections that say nothing of
 * the connection and are not sent again. */
static PyObject *reject(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    Py_ssize_t at;
    NEED(nargs == 4, "the number of arguments");
    if (!index_of(args[1], &at)) return NULL;
    PyObject *events = args[0], *heed = args[3], *job = NULL, *timestamp = NULL, *result = NULL;
    NEED(PyList_CheckExact(events) && at >= 0 && PyDict_CheckExact(kit->kept[V_REASONS]), "a book");
    double now = PyFloat_AsDouble(args[2]);
    if (now == -1.0 && PyErr_Occurred()) return NULL;
    while (at < PyList_GET_SIZE(events)) {
        PyObject *event = PyList_GET_ITEM(events, at), *reason;
        if (!Py_IS_TYPE(event, (PyTypeObject *)kit->kept[C_ANSWERED])) break;
        PyObject *status = FIELD(event, kit->at[C_ANSWERED_AT + A_STATUS]);
        PyObject *headers = FIELD(event, kit->at[C_ANSWERED_AT + A_HEADERS]);
        if (status == kit->kept[V_OK]) break;
        if (headers != Py_None) {
            PyObject *retry = header_text(headers, kit->kept[V_RETRY]);
            Py_XDECREF(retry);
            if (retry == NULL && PyErr_Occurred()) goto failed;
            if (retry != Py_None) break; /* only compared */
        }
        PyObject *body = FIELD(event, kit->at[C_ANSWERED_AT + A_BODY]);
        int known = read_reason(body, kit->kept[V_REASONS], &reason, &timestamp);
        if (known < 0) goto failed;
        if (!known) break;
        job = Py_NewRef(FIELD(event, kit->at[C_ANSWERED_AT + A_TAG]));
        if (!is_job(job, kit->kept[C_JOB], kit->at)) goto failed;
        double written = PyFloat_AsDouble(FIELD(job, kit->at[J_WRITTEN]));
        if (written == -1.0 && PyErr_Occurred()) goto failed;
        PyObject *ms = PyLong_FromDouble((now - written) * 1000);
        if (ms == NULL) goto failed;
        PyObject *values[] = {FIELD(job, kit->at[J_TOKEN]), FIELD(job, kit->at[J_ID]), status, reason,
                              timestamp, Py_None, FIELD(job, kit->at[J_TAG]), ms};
        PyObject *outcome = filled(kit->kept[V_REJECTED], kit->at + V_REJECTED_AT, V_END, values);
        Py_DECREF(ms);
        Py_CLEAR(timestamp);
        if (outcome == NULL) goto failed;
        at++;
        change_field(job, kit->at[J_STATE], kit->kept[C_DONE]);
        change_field(job, kit->at[J_CONNECTION], Py_None);
        int settled = settle(kit, job, outcome, heed);
        Py_DECREF(outcome);
        if (settled < 0) goto failed;
        Py_CLEAR(job);
    }
    result = PyLong_FromSsize_t(at);
failed:
    Py_XDECREF(timestamp);
    Py_XDECREF(job);
    return result;
}
