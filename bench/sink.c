/* A lean TLS 1.3 server that answers pushes: what clients are measured against.

   It parses frames, not header blocks: a push is answered when its stream ends. Of a block it looks only for a UUID
   that is spelled out, plain or Huffman-coded: the `apns-id`. A push without one (h2load's is a reference to the
   dynamic table) is answered with a fixed id.

   sink CERTIFICATE-AND-KEY.pem [--port 0] [--streams 1000] [--window 16777216] [--replenish N]
        [--style literal] [--fixed] [--upper] [--unique] [--reject-every 0] [--refuse-every 0] [--expired]

   Prints its port. A line on standard input is answered with the counters as JSON; when input ends the sink stops.

   --window        the connection's receive window; a client that overdraws it is cut off and counted
   --replenish     WINDOW_UPDATE once so many bytes were consumed (half the window), looked at after each reading
   --style         how answers are written (RFC 7541 section 6): literal, never, huffman: everything spelled out;
                   named, named-huffman: names and repeated pairs from the dynamic table, ids spelled out;
                   indexed, indexed-huffman: every id enters the dynamic table as well
   --fixed         one id for all answers;  --upper  ids in upper case;  --unique  an apns-unique-id beside the id
   --reject-every  a 410 with a JSON body for every n-th push;  --refuse-every  REFUSED_STREAM (0: none, 1: all)
   --expired       what is rejected is rejected with 403 ExpiredProviderToken, which clients send again

   gcc -O2 -o sink sink.c -lssl -lcrypto */
#define _GNU_SOURCE
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hpack.h"

enum { DATA = 0, HEADERS = 1, RESET = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW = 8 };
enum { REMEMBERED = 4096, BATCH = 1 << 18 };

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char FIXED[] = "7e57ed00-1ce5-4b1d-9f2a-0123456789ab";
static const char *status = "410", *reason = "{\"reason\":\"Unregistered\",\"timestamp\":1700000000000}";
typedef struct {
    int fd, started, preface, writable;
    SSL *ssl;
    uint8_t *in, *out;
    size_t in_len, in_cap, out_len, out_cap, out_at;
    uint64_t requests, consumed;
    int64_t window;
    Table table;
    char ids[REMEMBERED][LENGTH];
} Connection;

static unsigned streams = 1000, window = 1 << 24, replenish, reject_every, refuse_every;
static int echo = 1, upper, unique, poller;
static struct { uint64_t connections, open, pushes, rejected, refused, data, overdrawn, biggest; } seen;

/* ---- frames */

static uint8_t *room(Connection *c, size_t size) {
    if (c->out_len + size > c->out_cap) c->out = realloc(c->out, c->out_cap = 2 * (c->out_len + size));
    return c->out + c->out_len;
}

static void head(uint8_t *at, uint32_t size, int kind, int flags, uint32_t sid) {
    uint8_t bytes[] = {size >> 16, size >> 8, size, kind, flags, sid >> 24, sid >> 16, sid >> 8, sid};
    memcpy(at, bytes, 9);
}

static void frame(Connection *c, int kind, int flags, uint32_t sid, const void *payload, size_t size) {
    uint8_t *at = room(c, 9 + size);
    head(at, size, kind, flags, sid);
    memcpy(at + 9, payload, size);
    c->out_len += 9 + size;
}

static void number(Connection *c, int kind, uint32_t sid, uint32_t value) {
    uint8_t bytes[] = {value >> 24, value >> 16, value >> 8, value};
    frame(c, kind, 0, sid, bytes, 4);
}

static void answer(Connection *c, uint32_t sid) {
    seen.pushes++;
    if (++c->requests > seen.biggest) seen.biggest = c->requests;
    if (refuse_every && seen.pushes % refuse_every == 0) { seen.refused++; number(c, RESET, sid, 7); return; }
    int rejected = reject_every && seen.pushes % reject_every == 0;
    uint8_t *begin = room(c, 300), *at = begin + 9;
    if (rejected) at = field(&c->table, at, STATUS, status, 3);
    else *at++ = 0x88;
    at = field(&c->table, at, ID, c->ids[sid / 2 % REMEMBERED], LENGTH);
    if (unique) at = field(&c->table, at, UNIQUE, FIXED, LENGTH);
    if (rejected) at = field(&c->table, at, TYPE, "application/json", 16);
    head(begin, at - begin - 9, HEADERS, rejected ? 4 : 5, sid);
    c->out_len += at - begin;
    if (rejected) { seen.rejected++; frame(c, DATA, 1, sid, reason, strlen(reason)); }
}

static void remember(Connection *c, uint32_t sid, const uint8_t *block, int size) {
    char *id = c->ids[sid / 2 % REMEMBERED];
    for (int i = echo ? size - 24 : -1; i >= 0; i--) {
        const uint8_t *d = block + i;
        int left = size - i - 1, plain = d[0] == LENGTH && left >= LENGTH;
        if (plain && d[9] == '-' && d[14] == '-' && d[19] == '-' && d[24] == '-') memcpy(id, d + 1, LENGTH);
        else if (d[0] < 128 + 23 || d[0] > 128 + 32 || d[0] - 128 > left || !decoded(d + 1, d[0] - 128, id)) continue;
        if (upper) for (int k = 0; k < LENGTH; k++) id[k] = toupper(id[k]);
        return;
    }
    memcpy(id, FIXED, LENGTH);
}

static int parse(Connection *c) {
    size_t at = 0;
    if (!c->preface) {
        if (c->in_len < 24) return 0;
        if (memcmp(c->in, PREFACE, 24)) return -1;
        c->preface = 1;
        at = 24;
    }
    while (c->in_len - at >= 9) {
        uint8_t *f = c->in + at, *payload = f + 9;
        uint32_t size = f[0] << 16 | f[1] << 8 | f[2], sid = (f[5] & 127u) << 24 | f[6] << 16 | f[7] << 8 | f[8];
        int kind = f[3], flags = f[4];
        if (c->in_len - at < 9 + size) break;
        if (kind == DATA) {
            c->consumed += size;
            c->window -= size;
            seen.data += size;
            if (c->window < 0) { seen.overdrawn++; return -1; }
        } else if (kind == HEADERS) remember(c, sid, payload, size);
        else if (kind == SETTINGS && !(flags & 1)) frame(c, SETTINGS, 1, 0, NULL, 0);
        else if (kind == PING && !(flags & 1)) frame(c, PING, 1, 0, payload, 8);
        if ((kind == DATA || kind == HEADERS) && flags & 1) answer(c, sid);
        at += 9 + size;
    }
    memmove(c->in, c->in + at, c->in_len -= at);
    if (c->consumed && c->consumed >= replenish) {
        number(c, WINDOW, 0, c->consumed);
        c->window += c->consumed;
        c->consumed = 0;
    }
    return 0;
}

/* ---- sockets */

static int flush(Connection *c) {
    while (c->out_at < c->out_len) {
        int wrote = SSL_write(c->ssl, c->out + c->out_at, c->out_len - c->out_at);
        if (wrote <= 0) {
            if (SSL_get_error(c->ssl, wrote) == SSL_ERROR_WANT_WRITE) break;
            return -1;
        }
        c->out_at += wrote;
    }
    if (c->out_at == c->out_len) c->out_at = c->out_len = 0;
    int wanted = c->out_len > 0;
    if (wanted != c->writable) {
        struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
        c->writable = wanted;
    }
    return 0;
}

static int readable(Connection *c) {
    for (size_t batch = 0; batch < BATCH || SSL_has_pending(c->ssl);) {
        if (c->in_cap - c->in_len < 32768) c->in = realloc(c->in, c->in_cap = 2 * c->in_cap + 65536);
        int got = SSL_read(c->ssl, c->in + c->in_len, c->in_cap - c->in_len);
        if (got <= 0) {
            int error = SSL_get_error(c->ssl, got);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) break;
            return -1;
        }
        c->in_len += got;
        batch += got;
        if (!c->started) {
            uint8_t settings[] = {0, 3, streams >> 24, streams >> 16, streams >> 8, streams, 0, 6, 0, 0, 0x1f, 0x40};
            frame(c, SETTINGS, 0, 0, settings, sizeof settings);
            if (window > 65535) number(c, WINDOW, 0, window - 65535);
            c->window = window;
            c->started = 1;
        }
        if (parse(c)) return -1;
    }
    return flush(c);
}

static void drop(Connection *c) {
    ERR_clear_error();
    SSL_free(c->ssl);
    close(c->fd);
    free(c->in), free(c->out), free(c);
    seen.open--;
}

static void welcome(int listener, SSL_CTX *context) {
    for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->ssl = SSL_new(context);
        SSL_set_fd(c->ssl, fd);
        SSL_set_accept_state(c->ssl);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        seen.connections++;
        seen.open++;
    }
}

static int asked(void) {
    char line[64];
    if (read(0, line, sizeof line) <= 0) return 0;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"connections\": %lu, \"open\": %lu, \"pushes\": %lu, \"rejected\": %lu, \"refused\": %lu, \"data\": %lu, "
           "\"overdrawn\": %lu, \"biggest\": %lu, \"cpu\": %.4f}\n",
           seen.connections, seen.open, seen.pushes, seen.rejected, seen.refused, seen.data, seen.overdrawn,
           seen.biggest, cpu);
    fflush(stdout);
    seen.biggest = 0;
    return 1;
}

static int choose(SSL *ssl, const uint8_t **out, uint8_t *size, const uint8_t *in, unsigned in_size, void *unused) {
    (void)ssl, (void)unused;
    int found = SSL_select_next_proto((uint8_t **)out, size, (const uint8_t *)"\x02h2", 3, in, in_size);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void serve(int listener, SSL_CTX *context) {
    struct epoll_event events[64], event = {.events = EPOLLIN}, input = {.events = EPOLLIN, .data.ptr = &seen};
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input);
    for (;;) {
        int count = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) welcome(listener, context);
            else if ((void *)c == (void *)&seen) { if (!asked()) return; }
            else if (events[i].events & ~EPOLLOUT ? readable(c) : flush(c)) drop(c);
        }
    }
}

int main(int count, char **words) {
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"streams", 1, 0, 's'}, {"window", 1, 0, 'w'}, {"replenish", 1, 0, 'r'},
        {"style", 1, 0, 'y'},
        {"fixed", 0, 0, 'f'}, {"upper", 0, 0, 'u'}, {"unique", 0, 0, 'q'}, {"expired", 0, 0, 'e'},
        {"reject-every", 1, 0, 'j'},
        {"refuse-every", 1, 0, 'x'}, {0}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) switch (option) {
        case 'p': address.sin_port = htons(atoi(optarg)); break;
        case 's': streams = atoi(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 'r': replenish = atoi(optarg); break;
        case 'f': echo = 0; break;
        case 'u': upper = 1; break;
        case 'q': unique = 1; break;
        case 'e': status = "403", reason = "{\"reason\":\"ExpiredProviderToken\"}"; break;
        case 'j': reject_every = atoi(optarg); break;
        case 'x': refuse_every = atoi(optarg); break;
        case 'y': if (style(optarg)) break; /* fall through */
        default: fprintf(stderr, "sink: see the top of sink.c for its options\n"); return 2;
    }
    if (optind + 1 != count || streams > REMEMBERED || window < 65535) {
        fprintf(stderr, "sink: give one PEM file, at most %d streams, a window of 65535 or more\n", REMEMBERED);
        return 2;
    }
    prepare();
    if (!replenish) replenish = window / 2;
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    const char *pem = words[optind];
    if (SSL_CTX_use_certificate_chain_file(context, pem) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, pem, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_alpn_select_cb(context, choose, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_read_buffer_len(context, 65536);
    SSL_CTX_set_read_ahead(context, 1);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 128) ||
        getsockname(listener, (void *)&address, &size)) {
        perror("sink");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(listener, context);
    return 0;
}
