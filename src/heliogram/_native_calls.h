/* Client.send: all of a plain call in one, and the future that it returns. Part of _native.c.
 *
 * `Sending` is an asyncio.Future that is nothing more than the place where one task waits for one outcome, until
 * anything else is asked of it: then it becomes an ordinary one (`promote`), and asyncio's own code does the work. What
 * is gained is that those whom the answers of one read wake are woken by one call of the event loop, not one for each.
 */

enum { Y_MAKE, Y_JOB, Y_DONE, Y_NOW, Y_RUNNING, Y_FUTURE, Y_TIMEOUT, Y_COMPLAIN, Y_POOL, Y_READY, Y_TURNS, Y_HEED,
       Y_DEADLINES, Y_FIFO, Y_TURNS_TYPE, Y_DEADLINES_TYPE, Y_GIVEN, Y_SENDING = Y_GIVEN, Y_LOOP, Y_WAKES, Y_WAKING,
       Y_RUN, Y_QUEUE, Y_WATCH, Y_SHED, Y_REFUSING, Y_HOLDER, Y_KEY, Y_END };
enum { Y_ASKED_AT = J_END, Y_TIMER_AT, Y_FORKS_AT };
static const char *const turns_fields[] = {"asked", NULL};
static const char *const deadlines_fields[] = {"_timer", NULL};
#define FEW 4096 /* pushes that may be open without a look at how many (deadlines._SLACK) */
#define POUR 256 /* pool._POUR */

/* ---- the running loop */

#if PY_VERSION_HEX < 0x030C0000
/* asyncio.get_running_loop asks the kernel for the process id, each time. It notes the loop in an object of its own that
 * lasts as long as the loop runs, in the thread's dict: while that very object is there, and there was no fork, the
 * answer is what it was. */
static Py_ssize_t forks;

static PyObject *forked(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    forks++;
    Py_RETURN_NONE;
}

static PyMethodDef forked_def = {"forked", forked, METH_NOARGS, NULL};

/* What the thread has about its loop, borrowed; NULL when it is not known. */
static PyObject *holder(Kit *kit) {
    PyObject *own = PyThreadState_GetDict();
    PyObject *found = own == NULL ? NULL : PyDict_GetItemWithError(own, kit->kept[Y_KEY]);
    if (found == NULL) PyErr_Clear();
    return found;
}

/* Has forks counted, once. */
static int count_forks(PyObject *module) {
    PyObject *os = PyImport_ImportModule("os"), *count = PyCFunction_New(&forked_def, module), *done = NULL;
    PyObject *ask = os == NULL ? NULL : PyObject_GetAttrString(os, "register_at_fork"), *none = PyTuple_New(0);
    PyObject *named = count == NULL ? NULL : Py_BuildValue("{sO}", "after_in_child", count);
    if (ask != NULL && none != NULL && named != NULL) done = PyObject_Call(ask, none, named);
    Py_XDECREF(os);
    Py_XDECREF(count);
    Py_XDECREF(ask);
    Py_XDECREF(none);
    Py_XDECREF(named);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}
#else
#define forks 0
#define holder(kit) NULL
#define count_forks(module) 0
#endif

/* The running loop, when its tasks may be woken together; None when it is in debug mode, which has its own futures. */
static PyObject *running_loop(Kit *kit) {
    PyObject **kept = kit->kept, *held = holder(kit);
    if (held != NULL && held == kept[Y_HOLDER] && kit->at[Y_FORKS_AT] == forks) return Py_NewRef(kept[Y_LOOP]);
    PyObject *loop = PyObject_CallNoArgs(kept[Y_RUNNING]);
    if (loop == NULL || (loop == kept[Y_LOOP] && held == NULL)) return loop;
    PyObject *debug = PyObject_CallMethod(loop, "get_debug", NULL);
    int careful = debug == NULL ? -1 : PyObject_IsTrue(debug);
    Py_XDECREF(debug);
    if (careful == 0) {
        Py_XSETREF(kept[Y_LOOP], Py_NewRef(loop));
        Py_XSETREF(kept[Y_HOLDER], Py_XNewRef(holder(kit)));
        kit->at[Y_FORKS_AT] = forks;
        return loop;
    }
    Py_DECREF(loop);
    return careful < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- what it waits with */

typedef struct {
    Kit *kit;
    PyObject *loop, *callback, *context, *result;
    char blocking, done, promoted;
} Own;

#define BASE(self) (Py_TYPE(self)->tp_base)
#define OWN(self) ((Own *)((char *)(self) + BASE(self)->tp_basicsize))

/* A method of asyncio.Future, bound. */
static PyObject *ordinary(PyObject *self, const char *name) {
    PyObject *method = PyObject_GetAttrString((PyObject *)BASE(self), name);
    if (method == NULL || Py_TYPE(method)->tp_descr_get == NULL) return method;
    Py_SETREF(method, Py_TYPE(method)->tp_descr_get(method, self, (PyObject *)Py_TYPE(self)));
    return method;
}

/* Makes it the future that asyncio would have made, in the state it is in. */
static int promote(PyObject *self) {
    Own *own = OWN(self);
    if (own->promoted) return 0;
    PyObject *none = PyTuple_New(0), *named = Py_BuildValue("{sO}", "loop", own->loop ? own->loop : Py_None);
    PyObject *method = NULL, *done = NULL;
    int status = none == NULL || named == NULL ? -1 : BASE(self)->tp_init(self, none, named);
    if (status == 0) {
        own->promoted = 1;
        if (own->done) {
            if ((method = ordinary(self, "set_result")) != NULL) done = PyObject_CallOneArg(method, own->result);
        } else if (own->callback != NULL) {
            PyObject *callback = own->callback, *context = own->context;
            own->callback = own->context = NULL;
            PyObject *names = Py_BuildValue("(s)", "context"), *values[] = {callback, context};
            if (names != NULL && (method = ordinary(self, "add_done_callback")) != NULL)
                done = PyObject_Vectorcall(method, values, 1, names);
            Py_XDECREF(names);
            Py_DECREF(callback);
            Py_DECREF(context);
        } else done = Py_NewRef(Py_None);
        if (done == NULL) status = -1;
    }
    Py_XDECREF(none);
    Py_XDECREF(named);
    Py_XDECREF(method);
    Py_XDECREF(done);
    return status;
}

static PyObject *promoted_call(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    PyObject *method = promote(self) < 0 ? NULL : ordinary(self, name);
    PyObject *done = method == NULL ? NULL : PyObject_Vectorcall(method, args, nargs, names);
    Py_XDECREF(method);
    return done;
}

/* loop.call_soon(callback, future, context=context): what asyncio does for each. */
static int wake_alone(PyObject *loop, PyObject *callback, PyObject *future, PyObject *context) {
    PyObject *soon = PyObject_GetAttrString(loop, "call_soon"), *names = Py_BuildValue("(s)", "context");
    PyObject *values[] = {callback, future, context}, *handle = NULL;
    if (soon != NULL && names != NULL) handle = PyObject_Vectorcall(soon, values, 2, names);
    Py_XDECREF(soon);
    Py_XDECREF(names);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

static int ask_for_run(Kit *kit, PyObject *loop) {
    PyObject *soon = PyObject_GetAttrString(loop, "call_soon");
    PyObject *handle = soon == NULL ? NULL : PyObject_CallOneArg(soon, kit->kept[Y_RUN]);
    Py_XDECREF(soon);
    Py_XDECREF(handle);
    if (handle != NULL) Py_XSETREF(kit->kept[Y_WAKING], Py_NewRef(loop));
    return handle == NULL ? -1 : 0;
}

/* Its task wakes in the next pass of the event loop, together with the others. */
static int wake(PyObject *self, Own *own) {
    Kit *kit = own->kit;
    PyObject *wakes = kit->kept[Y_WAKES];
    if (PyList_GET_SIZE(wakes) == 0) {
        if (ask_for_run(kit, own->loop) < 0) return -1;
    } else if (kit->kept[Y_WAKING] != own->loop) {
        PyObject *callback = own->callback, *context = own->context;
        own->callback = own->context = NULL;
        int status = wake_alone(own->loop, callback, self, context);
        Py_DECREF(callback);
        Py_DECREF(context);
        return status;
    }
    return PyList_Append(wakes, self);
}

/* Calls back the one that waits; -1 with an exception that is not its own affair. */
static int call_back(Kit *kit, PyObject *self) {
    Own *own = OWN(self);
    PyObject *callback = own->callback, *context = own->context, *done = NULL;
    own->callback = own->context = NULL;
    int status = 0;
    if (callback == NULL || context == NULL) goto end;
    if (PyContext_Enter(context) < 0) {
        PyErr_Clear();
        status = wake_alone(own->loop, callback, self, context);
        goto end;
    }
    if ((done = PyObject_CallOneArg(callback, self)) == NULL) {
        PyObject *error = caught();
        status = PyContext_Exit(context);
        if (PyErr_GivenExceptionMatches(error, PyExc_SystemExit) ||
            PyErr_GivenExceptionMatches(error, PyExc_KeyboardInterrupt)) {
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
            status = -1;
        } else if (status == 0) {
            done = PyObject_CallFunctionObjArgs(kit->kept[Y_COMPLAIN], own->loop, callback, error, NULL);
            if (done == NULL) status = -1;
        }
        Py_DECREF(error);
    } else status = PyContext_Exit(context);
end:
    Py_XDECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(done);
    return status;
}

/* What the event loop calls: each in its own context, in the order of the answers. */
static PyObject *run_wakes(Kit *kit, PyObject *none) {
    (void)none;
    PyObject *wakes = kit->kept[Y_WAKES], *fresh = PyList_New(0);
    if (fresh == NULL) return NULL;
    kit->kept[Y_WAKES] = fresh;
    int status = 0;
    Py_ssize_t at = 0;
    while (status == 0 && at < PyList_GET_SIZE(wakes)) status = call_back(kit, PyList_GET_ITEM(wakes, at++));
    if (status < 0 && at < PyList_GET_SIZE(wakes)) { /* Control-C: the rest is woken if the loop goes on */
        PyObject *error = caught(), *rest = PyList_GetSlice(wakes, at, PyList_GET_SIZE(wakes));
        PyObject *loop = OWN(PyList_GET_ITEM(wakes, at))->loop;
        int idle = PyList_GET_SIZE(kit->kept[Y_WAKES]) == 0;
        if (rest == NULL || PyList_SetSlice(kit->kept[Y_WAKES], 0, 0, rest) < 0 || (idle && ask_for_run(kit, loop) < 0))
            PyErr_Clear();
        Py_XDECREF(rest);
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    Py_DECREF(wakes);
    if (status < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef run_wakes_def = {"wake", (PyCFunction)(void (*)(void))run_wakes, METH_NOARGS, NULL};

/* ---- asyncio.Future, as far as it is asked for here */

static int resolve(PyObject *self, PyObject *outcome) {
    Own *own = OWN(self);
    if (own->promoted || own->done) {
        PyObject *done = promoted_call(self, "set_result", &outcome, 1, NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    own->result = Py_NewRef(outcome);
    own->done = 1;
    return own->callback == NULL ? 0 : wake(self, own);
}

static PyObject *sending_set_result(PyObject *self, PyObject *outcome) {
    if (resolve(self, outcome) < 0) return NULL;
    Py_RETURN_NONE;
}

/* Called, it takes its result: it is itself the sink of its job. */
static PyObject *sending_call(PyObject *self, PyObject *args, PyObject *named) {
    PyObject *outcome;
    NEED(named == NULL || PyDict_GET_SIZE(named) == 0, "the number of arguments");
    if (!PyArg_UnpackTuple(args, "set_result", 1, 1, &outcome)) return NULL;
    return sending_set_result(self, outcome);
}

static PyObject *sending_result(PyObject *self, PyObject *none) {
    (void)none;
    Own *own = OWN(self);
    if (own->done && !own->promoted) return Py_NewRef(own->result);
    return promoted_call(self, "result", NULL, 0, NULL);
}

static PyObject *sending_done(PyObject *self, PyObject *none) {
    (void)none;
    Own *own = OWN(self);
    if (!own->promoted) return PyBool_FromLong(own->done);
    return promoted_call(self, "done", NULL, 0, NULL);
}

static PyObject *sending_get_loop(PyObject *self, PyObject *none) {
    (void)none;
    Own *own = OWN(self);
    if (!own->promoted && own->loop != NULL) return Py_NewRef(own->loop);
    return promoted_call(self, "get_loop", NULL, 0, NULL);
}

/* A task that waits comes with a built-in function and its context; everybody else gets an ordinary future. */
static PyObject *sending_add(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    Own *own = OWN(self);
    if (own->promoted || own->done || own->callback != NULL || nargs != 1 || names == NULL ||
        PyTuple_GET_SIZE(names) != 1 || !PyCFunction_CheckExact(args[0]) || !PyContext_CheckExact(args[1]) ||
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "context"))
        return promoted_call(self, "add_done_callback", args, nargs, names);
    own->callback = Py_NewRef(args[0]);
    own->context = Py_NewRef(args[1]);
    Py_RETURN_NONE;
}

static PyObject *sending_blocking(PyObject *self, void *nothing) {
    (void)nothing;
    return PyBool_FromLong(OWN(self)->blocking);
}

static int sending_set_blocking(PyObject *self, PyObject *value, void *nothing) {
    (void)nothing;
    int is = value == NULL ? (PyErr_SetString(PyExc_AttributeError, "cannot delete attribute"), -1) : PyObject_IsTrue(value);
    if (is >= 0) OWN(self)->blocking = (char)is;
    return is < 0 ? -1 : 0;
}

/* It is what it yields, and its own iterator: awaiting keeps nothing. */
static PySendResult sending_send(PyObject *self, PyObject *value, PyObject **result) {
    (void)value;
    Own *own = OWN(self);
    *result = NULL;
    int done = own->done;
    if (own->promoted) {
        PyObject *asked = sending_done(self, NULL);
        if (asked == NULL) return PYGEN_ERROR;
        done = asked == Py_True;
        Py_DECREF(asked);
    }
    if (done) {
        *result = sending_result(self, NULL);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    if (own->blocking) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return PYGEN_ERROR;
    }
    own->blocking = 1;
    *result = Py_NewRef(self);
    return PYGEN_NEXT;
}

static PyObject *sending_next(PyObject *self) {
    PyObject *result;
    if (sending_send(self, Py_None, &result) != PYGEN_RETURN) return result;
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result); /* whatever kind of object the result is */
    if (stop != NULL) PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    Py_DECREF(result);
    return NULL;
}

static PyObject *sending_await(PyObject *self) { return Py_NewRef(self); }

static PyObject *sending_repr(PyObject *self) { return promote(self) < 0 ? NULL : BASE(self)->tp_repr(self); }

static int sending_traverse(PyObject *self, visitproc visit, void *arg) {
    Own *own = OWN(self);
    Py_VISIT(own->kit);
    Py_VISIT(own->loop);
    Py_VISIT(own->callback);
    Py_VISIT(own->context);
    Py_VISIT(own->result);
    if (!(BASE(self)->tp_flags & Py_TPFLAGS_HEAPTYPE)) Py_VISIT(Py_TYPE(self)); /* else the base does */
    return BASE(self)->tp_traverse(self, visit, arg);
}

static void forget(Own *own) {
    Py_CLEAR(own->kit);
    Py_CLEAR(own->loop);
    Py_CLEAR(own->callback);
    Py_CLEAR(own->context);
    if (own->promoted) Py_CLEAR(own->result); /* who asks for it must find it */
}

static int sending_clear(PyObject *self) {
    forget(OWN(self));
    return BASE(self)->tp_clear(self);
}

static void sending_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self), *base = type->tp_base;
    if (OWN(self)->promoted && PyObject_CallFinalizerFromDealloc(self) < 0) return; /* a logger keeps it */
    PyObject_GC_UnTrack(self);
    forget(OWN(self));
    Py_CLEAR(OWN(self)->result);
    PyObject_GC_Track(self); /* as the base expects it */
    base->tp_dealloc(self);
    if (!(base->tp_flags & Py_TPFLAGS_HEAPTYPE)) Py_DECREF(type); /* else the base did */
}

static PyMethodDef sending_methods[] = {
    {"set_result", sending_set_result, METH_O, NULL},
    {"result", sending_result, METH_NOARGS, NULL},
    {"done", sending_done, METH_NOARGS, NULL},
    {"get_loop", sending_get_loop, METH_NOARGS, NULL},
    {"add_done_callback", (PyCFunction)(void (*)(void))sending_add, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef sending_attributes[] = {
    {"_asyncio_future_blocking", sending_blocking, sending_set_blocking, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot sending_slots[] = {
    {Py_tp_dealloc, sending_dealloc}, {Py_tp_traverse, sending_traverse},  {Py_tp_clear, sending_clear},
    {Py_tp_repr, sending_repr},       {Py_tp_call, sending_call},          {Py_tp_methods, sending_methods},
    {Py_tp_iter, sending_await},      {Py_tp_iternext, sending_next},      {Py_tp_getset, sending_attributes},
    {Py_am_await, sending_await},     {Py_am_send, sending_send},          {0, NULL}};

/* ---- everything else that a future has: it becomes an ordinary one first */

typedef struct {
    PyObject_HEAD
    PyObject *inner; /* as it is in asyncio.Future */
} Rest;

static PyObject *rest_get(PyObject *self, PyObject *object, PyObject *type) {
    PyObject *inner = ((Rest *)self)->inner;
    if (object == NULL || object == Py_None) return Py_NewRef(inner);
    if (promote(object) < 0) return NULL;
    descrgetfunc get = Py_TYPE(inner)->tp_descr_get;
    return get == NULL ? Py_NewRef(inner) : get(inner, object, type);
}

static int rest_set(PyObject *self, PyObject *object, PyObject *value) {
    PyObject *inner = ((Rest *)self)->inner;
    if (promote(object) < 0) return -1;
    descrsetfunc set = Py_TYPE(inner)->tp_descr_set;
    if (set != NULL) return set(inner, object, value);
    PyErr_SetString(PyExc_AttributeError, "this attribute of a future is read-only");
    return -1;
}

static int rest_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Rest *)self)->inner);
    return 0;
}

static void rest_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((Rest *)self)->inner);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot rest_slots[] = {{Py_tp_descr_get, rest_get}, {Py_tp_descr_set, rest_set},
                                   {Py_tp_traverse, rest_traverse}, {Py_tp_dealloc, rest_dealloc}, {0, NULL}};
static PyType_Spec rest_spec = {
    "heliogram._native.Rest", sizeof(Rest), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, rest_slots};

/* Puts a Rest in front of each attribute of asyncio.Future that Sending does not have itself. */
static int cover(PyObject *module, PyObject *sending, PyObject *future) {
    PyObject *kind = PyType_FromModuleAndSpec(module, &rest_spec, NULL), *names = NULL;
    int status = kind == NULL || (names = PyObject_Dir(future)) == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i), *inner = PyObject_GetAttr(future, name);
        PyObject *own = inner == NULL ? NULL : PyObject_GetAttr(sending, name);
        const char *text = PyUnicode_AsUTF8(name);
        if (own == NULL || text == NULL) status = -1;
        else if (own == inner && strncmp(text, "__", 2)) {
            Rest *rest = (Rest *)((PyTypeObject *)kind)->tp_alloc((PyTypeObject *)kind, 0);
            if (rest != NULL) rest->inner = Py_NewRef(inner);
            status = rest == NULL ? -1 : PyObject_SetAttr(sending, name, (PyObject *)rest);
            Py_XDECREF(rest);
        }
        Py_XDECREF(inner);
        Py_XDECREF(own);
    }
    Py_XDECREF(names);
    Py_XDECREF(kind);
    return status;
}

/* The class, made once for the module: asyncio.Future is not needed by those who only use the other twins. */
static PyObject *sending_type(PyObject *module, PyObject *future) {
    PyTypeObject *base = (PyTypeObject *)future;
    if (!PyType_Check(future) || base->tp_itemsize || !PyType_IS_GC(base) ||
        !base->tp_clear || strcmp(base->tp_name, "_asyncio.Future"))
        return PyErr_SetString(PyExc_TypeError, "asyncio.Future is not the one in C"), NULL;
    PyObject *made = PyObject_HasAttrString(module, "Sending") ? PyObject_GetAttrString(module, "Sending") : NULL;
    if (made != NULL && PyType_Check(made) && ((PyTypeObject *)made)->tp_dealloc == sending_dealloc &&
        ((PyTypeObject *)made)->tp_base == base)
        return made;
    Py_XDECREF(made);
    if (PyErr_Occurred()) return NULL;
    PyType_Spec spec = {"heliogram._native.Sending", (int)(base->tp_basicsize + (Py_ssize_t)sizeof(Own)), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, sending_slots};
    made = PyType_FromModuleAndSpec(module, &spec, future);
    if (made != NULL && (cover(module, made, future) < 0 || count_forks(module) < 0 || PyModule_AddType(module, (PyTypeObject *)made) < 0))
        Py_CLEAR(made);
    return made;
}

/* ---- Client.send */

static PyObject *new_sending(Kit *kit, PyObject *loop) {
    PyTypeObject *type = (PyTypeObject *)kit->kept[Y_SENDING];
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    OWN(self)->kit = (Kit *)Py_NewRef((PyObject *)kit);
    OWN(self)->loop = Py_NewRef(loop);
    return self;
}

static int call_method(PyObject *object, const char *name, PyObject *job) {
    PyObject *method = PyObject_GetAttrString(object, name);
    PyObject *done = method == NULL ? NULL : PyObject_CallOneArg(method, job);
    Py_XDECREF(method);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int call_kept(PyObject *function, PyObject *job) {
    PyObject *done = PyObject_CallOneArg(function, job);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Deadlines.append: its timer is there, and there are few pushes. */
static int watch_job(Kit *kit, PyObject *job) {
    PyObject *fifo = kit->kept[Y_FIFO];
    Py_ssize_t size;
    while ((size = PyObject_Size(fifo)) > 0) {
        PyObject *first = PySequence_GetItem(fifo, 0);
        if (first == NULL) return -1;
        int over = PyObject_TypeCheck(first, (PyTypeObject *)kit->kept[Y_JOB]) &&
                   FIELD(first, kit->at[J_STATE]) == kit->kept[Y_DONE];
        Py_DECREF(first);
        if (!over) break;
        PyObject *gone = PyObject_CallNoArgs(kit->kept[Y_SHED]);
        if (gone == NULL) return -1;
        Py_DECREF(gone);
    }
    if (size < 0) return -1;
    if (size == 0 || size >= FEW || FIELD(kit->kept[Y_DEADLINES], kit->at[Y_TIMER_AT]) == Py_None)
        return call_method(kit->kept[Y_DEADLINES], "append", job);
    return call_kept(kit->kept[Y_WATCH], job);
}

/* Pool.put: nobody listens, a turn is to come, and there is no need to write before it. */
static int queue_job(Kit *kit, PyObject *job) {
    Py_ssize_t size = PyObject_Size(kit->kept[Y_READY]);
    if (size < 0) return -1;
    int plain = kit->kept[Y_HEED] == Py_None && (size + 1) % POUR &&
                FIELD(kit->kept[Y_TURNS], kit->at[Y_ASKED_AT]) == Py_True;
    if (plain) {
        PyObject *refusing = PyObject_GetAttr(kit->kept[Y_POOL], kit->kept[Y_REFUSING]);
        if (refusing == NULL) return -1;
        plain = refusing == Py_None;
        Py_DECREF(refusing);
    }
    return plain ? call_kept(kit->kept[Y_QUEUE], job) : call_method(kit->kept[Y_POOL], "put", job);
}

/* Takes from the collector's work what leads nowhere, as CPython does with tuples and dicts: a thousand pushes that wait
 * for their answers live through several of its rounds. A notification is frozen, and `alert` and `custom` are untracked
 * when there are atoms alone in them. */
static void unburden(Kit *maker, PyObject *note, PyObject *fields) {
    PyObject *pair = PyTuple_CheckExact(fields) && PyTuple_GET_SIZE(fields) == 1 ? PyTuple_GET_ITEM(fields, 0) : NULL;
    if (pair != NULL && PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 &&
        PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 0)) && PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 1))) {
        PyObject_GC_UnTrack(pair);
        PyObject_GC_UnTrack(fields);
    }
    if (!Py_IS_TYPE(note, (PyTypeObject *)maker->kept[M_NOTIFICATION]) || !PyObject_GC_IsTracked(note)) return;
    const Py_ssize_t *at = maker->at + NOTE_AT, count = N_COMMON + PyTuple_GET_SIZE(maker->kept[M_REST]);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i == N_MEMORY) continue;
        PyObject *part = FIELD(note, at[i]);
        if (part == NULL || part == Py_None) continue;
        if (PyObject_IS_GC(part) && PyObject_GC_IsTracked(part)) return;
    }
    PyObject_GC_UnTrack(note);
}

/* send(device_token, notification, apns_id, topic) -> a future; None when Python has to do it */
static PyObject *send(Kit *kit, PyObject *const *args, Py_ssize_t nargs) {
    NEED(nargs == 4, "the number of arguments");
    PyObject *loop = running_loop(kit);
    if (loop == NULL || loop == Py_None) return loop;
    PyObject *future = new_sending(kit, loop), *now = NULL, *deadline = NULL, *job = NULL;
    Py_DECREF(loop);
    int status = -1;
    if (future == NULL || (now = PyObject_CallNoArgs(kit->kept[Y_NOW])) == NULL) goto done;
    if ((deadline = PyNumber_Add(now, kit->kept[Y_TIMEOUT])) == NULL) goto done;
    PyObject *given[G_END] = {args[0], args[1], args[2], Py_None, args[3], deadline, future};
    Kit *maker = (Kit *)PyCFunction_GET_SELF(kit->kept[Y_MAKE]);
    if ((job = make(maker, given, G_END)) == NULL) goto done;
    unburden(maker, args[1], FIELD(job, kit->at[J_FIELDS]));
    if (watch_job(kit, job) < 0 || queue_job(kit, job) < 0) goto done;
    status = 0;
done:
    Py_XDECREF(now);
    Py_XDECREF(deadline);
    Py_XDECREF(job);
    if (status < 0) Py_CLEAR(future);
    return future;
}

/* What the kit of `send` has beside what it is given. */
static int learn_send(PyObject *module, Kit *kit) {
    PyObject **kept = kit->kept;
    if (!PyCFunction_CheckExact(kept[Y_MAKE]) || PyCFunction_GET_FUNCTION(kept[Y_MAKE]) !=
        (PyCFunction)(void (*)(void))make || !Py_IS_TYPE(kept[Y_TURNS], (PyTypeObject *)kept[Y_TURNS_TYPE]) ||
        !Py_IS_TYPE(kept[Y_DEADLINES], (PyTypeObject *)kept[Y_DEADLINES_TYPE])) {
        PyErr_SetString(PyExc_TypeError, "something is of another class");
        return -1;
    }
    const struct { int at, of; const char *name; } bound[] = {
        {Y_QUEUE, Y_READY, "append"}, {Y_WATCH, Y_FIFO, "append"}, {Y_SHED, Y_FIFO, "popleft"}};
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        if ((kept[bound[i].at] = PyObject_GetAttrString(kept[bound[i].of], bound[i].name)) == NULL) return -1;
    if ((kept[Y_REFUSING] = PyUnicode_InternFromString("_refusing")) == NULL) return -1;
    if ((kept[Y_KEY] = PyUnicode_InternFromString("__asyncio_running_event_loop__")) == NULL) return -1;
    if ((kept[Y_WAKES] = PyList_New(0)) == NULL) return -1;
    if ((kept[Y_RUN] = PyCFunction_New(&run_wakes_def, (PyObject *)kit)) == NULL) return -1;
    return (kept[Y_SENDING] = sending_type(module, kept[Y_FUTURE])) == NULL ? -1 : 0;
}
