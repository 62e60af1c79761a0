/* What the sink needs of HPACK (RFC 7541): writing answers in every style, and reading a Huffman-coded UUID. */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { STATUS, TYPE, ID, UNIQUE, FIELDS };
enum { LENGTH = 36, TABLE = 4096, ENTRIES = 256 };

static const struct { const char *name; unsigned index; } NAMES[FIELDS] = {
    {":status", 8}, {"content-type", 31}, {"apns-id", 0}, {"apns-unique-id", 0}};

/* The codes of RFC 7541 appendix B that answers need. */
static const struct { char letter; uint8_t code, bits; } CODES[] = {
    {'-', 0x16, 6}, {'/', 0x18, 6}, {'0', 0x00, 5}, {'1', 0x01, 5}, {'2', 0x02, 5}, {'3', 0x19, 6}, {'4', 0x1a, 6},
    {'5', 0x1b, 6}, {'6', 0x1c, 6}, {'7', 0x1d, 6}, {'8', 0x1e, 6}, {'9', 0x1f, 6}, {'A', 0x21, 6}, {'B', 0x5d, 7},
    {'C', 0x5e, 7}, {'D', 0x5f, 7}, {'E', 0x60, 7}, {'F', 0x61, 7}, {'a', 0x03, 5}, {'b', 0x23, 6}, {'c', 0x04, 5},
    {'d', 0x24, 6}, {'e', 0x05, 5}, {'f', 0x25, 6}, {'i', 0x06, 5}, {'j', 0x74, 7}, {'l', 0x28, 6}, {'n', 0x2a, 6},
    {'o', 0x07, 5}, {'p', 0x2b, 6}, {'q', 0x76, 7}, {'s', 0x08, 5}, {'t', 0x09, 5}, {'u', 0x2d, 6}};
static uint8_t code_of[128], bits_of[128];
static char letters[128]; /* of hexadecimal digits and '-', by the seven bits that come next */

/* Our side of the dynamic table: sizes by serial, and the latest serial of each field. */
typedef struct { unsigned inserted, oldest, used, sizes[ENTRIES], latest[FIELDS]; } Table;

static int indexed, named, never, coded; /* the style */

/* To be called once, before all else. */
static void prepare(void) {
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++) {
        char letter = CODES[i].letter;
        code_of[(int)letter] = CODES[i].code;
        bits_of[(int)letter] = CODES[i].bits;
        int spare = 7 - CODES[i].bits;
        if (isxdigit(letter) || letter == '-')
            for (int k = 0; k < 1 << spare; k++) letters[CODES[i].code << spare | k] = letter;
    }
}

static int style(const char *name) {
    coded = strstr(name, "huffman") != NULL;
    never = !strcmp(name, "never");
    named = !strncmp(name, "named", 5);
    indexed = !strncmp(name, "indexed", 7);
    return coded || never || named || indexed || !strcmp(name, "literal");
}

static uint8_t *integer(uint8_t *at, unsigned first, unsigned mask, unsigned value) {
    if (value < mask) { *at++ = first | value; return at; }
    *at++ = first | mask;
    for (value -= mask; value > 127; value >>= 7) *at++ = 128 | (value & 127);
    *at++ = value;
    return at;
}

static uint8_t *string(uint8_t *at, const char *text, size_t size) {
    if (!coded) { *at++ = size; memcpy(at, text, size); return at + size; }
    uint8_t *begin = at++;
    uint64_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t letter = text[i];
        bits = bits << bits_of[letter] | code_of[letter];
        for (held += bits_of[letter]; held >= 8; held -= 8) *at++ = bits >> (held - 8);
    }
    if (held) *at++ = bits << (8 - held) | 0xff >> held;
    *begin = 128 | (at - begin - 1);
    return at;
}

static void insert(Table *t, int field, unsigned size) {
    while (t->used + size > TABLE) t->used -= t->sizes[++t->oldest % ENTRIES];
    t->used += size;
    t->latest[field] = ++t->inserted;
    t->sizes[t->inserted % ENTRIES] = size;
}

static uint8_t *field(Table *t, uint8_t *at, int field, const char *value, size_t size) {
    unsigned serial = t->latest[field], index = NAMES[field].index;
    int alive = serial > t->oldest, constant = field == STATUS || field == TYPE;
    if (alive) index = 62 + t->inserted - serial;
    if (alive && constant) return integer(at, 0x80, 127, index);
    int enters = constant ? indexed || named : indexed || (named && !alive);
    at = enters ? integer(at, 0x40, 63, index) : integer(at, never ? 0x10 : 0, 15, index);
    size_t name = strlen(NAMES[field].name);
    if (!index) at = string(at, NAMES[field].name, name);
    if (enters) insert(t, field, name + size + 32);
    return string(at, value, size);
}

/* Whether these bytes are the Huffman code of a UUID, which then is in `id`. */
static int decoded(const uint8_t *at, int size, char *id) {
    uint32_t bits = 0;
    int held = 0, used = 0;
    for (int i = 0; i < LENGTH; i++) {
        while (held < 7) bits = bits << 8 | (used < size ? at[used] : 0xff), used++, held += 8;
        char letter = letters[bits >> (held - 7) & 127];
        if (!letter || (letter == '-') != (i == 8 || i == 13 || i == 18 || i == 23)) return 0;
        id[i] = letter;
        held -= bits_of[(int)letter];
    }
    return used == size || used == size + 1;
}
