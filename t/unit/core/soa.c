/* How long an answer without addresses holds, from whole, cut and damaged
 * messages. */
/* needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c */

#include "../../../src/core/v2_soa.c"

#include "../tap.h"

#define HEAD(q, a, n)   "\x12\x34\x81\x83\0" q "\0" a "\0" n "\0\0"
#define QUESTION        "\1a\4test\0\0\1\0\1"
#define CNAME           "\xc0\x0c\0\5\0\1\0\0\0\5\0\4\1b\xc0\x0e"
#define NUMBERS         "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4"
#define OWNER(ttl)      "\xc0\x0e\0\6\0\1\0\0\0" ttl
#define NAMES           "\2ns\xc0\x0e" "\xc0\x0e"
#define RECORD(ttl, last) \
    OWNER(ttl) "\0\x1b" NAMES NUMBERS "\0\0\0" last
#define LONGER(ttl, last) \
    OWNER(ttl) "\0\x1c" NAMES "\0" NUMBERS "\0\0\0" last

#define TTL(text)       ttl_of(text, sizeof(text) - 1)


/* From an exact copy, so that a sanitizer sees a byte read behind it. */
static uint32_t
ttl_of(const char *data, size_t len)
{
    void      *copy;
    uint32_t   ttl;

    copy = malloc(len + 1);

    if (copy == NULL) {
        exit(2);
    }

    memcpy(copy, data, len);
    ttl = v2_soa_ttl(copy, len, 777);
    free(copy);

    return ttl;
}


int
main(void)
{
    size_t              i, cut;
    static const char   whole[] = HEAD("\1", "\1", "\1") QUESTION CNAME
                                  RECORD("\x1e", "\x14");

    is_int(ttl_of(whole, sizeof(whole) - 1), 20, "the last field");
    is_int(TTL(HEAD("\1", "\0", "\1") QUESTION RECORD("\x0a", "\x14")), 10,
           "the TTL, where it is lower");
    is_int(TTL(HEAD("\1", "\0", "\0") QUESTION), 777, "no SOA record");
    is_int(TTL(HEAD("\1", "\0", "\0") QUESTION RECORD("\x0a", "\x14")), 777,
           "one that is not counted");
    is_int(TTL(HEAD("\1", "\0", "\1") QUESTION LONGER("\x0a", "\x14")), 777,
           "one with a byte too many inside");
    is_int(v2_soa_ttl(NULL, 0, 5), 5, "no message");

    for (i = 0, cut = 0; i < sizeof(whole) - 1; i++) {
        cut += ttl_of(whole, i) == 777;
    }

    is_int(cut, i, "cut anywhere: none");

    return done_testing();
}
