/* The resolver against a name server on the loopback, under both engines.
 * Its clock can be set ahead, so that no test waits for a TTL; the files
 * are in a folder of the test's own. */
/* needs: src/core/v2_names.c src/core/v2_hosts.c src/core/v2_timer.c */
/* needs: src/core/v2_ring.c src/core/v2_ring_op.c src/core/v2_ring_epoll.c */
/* needs: src/core/v2_ring_io.c src/core/v2_ring_bufs.c src/core/v2_buf.c */
/* needs: src/core/v2_time.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_flat.c src/core/v2_soa.c src/core/v2_core.c */
/* libs: -luring -lcares */

#include "v2_config.h"

#include <ares.h>

/* What resolv.conf cannot say: the port, and shorter time-outs. */
static int  test_init_options(ares_channel *ch, struct ares_options *o,
    int mask);

#define ares_init_options   test_init_options
#include "../../../src/core/v2_resolve.c"
#undef ares_init_options

#include "ring_test.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FAILS  "name servers fail or cannot be reached"

typedef struct ask_s  ask_t;

struct ask_s {
    v2_resolve_req_t   q;
    v2_int_t           rc;
    unsigned           calls;
    uint64_t           took_ms;
    void             (*then)(ask_t *a);
};

static v2_resolve_t  *rs;
static char           dir[] = "/tmp/v2sp-resolve-XXXXXX";
static char           table[128], asked_log[128], hosts[128], resolv[128];
static char           server[32];
static unsigned short server_port;
static pid_t          server_pid;
static int            server_in;
static uint64_t       ahead_ms;


static int
test_init_options(ares_channel *ch, struct ares_options *o, int mask)
{
    o->timeout = 400;
    o->udp_port = o->tcp_port = server_port;

    return ares_init_options(ch, o, mask | ARES_OPT_UDP_PORT
                                    | ARES_OPT_TCP_PORT);
}


static void
put_file(const char *path, const char *text)
{
    FILE  *f;

    f = fopen(path, "w");

    if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0) {
        perror(path);
        exit(2);
    }
}


static void
clock_turn(void)
{
    v2_time_set(0);
    v2_time_update();
    v2_time_set(v2_now_ms() + ahead_ms);
}


static void
loop_turn(void)
{
    clock_turn();

    if (v2_ring_wait(ring, v2_timer_next(v2_now_ms(), 20), NULL) != V2_OK) {
        fail("%s: v2_ring_wait() failed", engine);
    }

    clock_turn();
    v2_timer_expire(v2_now_ms());
}


static void
on_done(v2_resolve_req_t *q)
{
    ask_t  *a = q->owner;

    a->calls++;

    if (a->then != NULL) {
        a->then(a);
    }
}


static v2_int_t
ask(ask_t *a, const char *name, v2_family_e family)
{
    unsigned  before;

    a->q.done = on_done;
    a->q.owner = a;
    before = a->calls;
    clock_turn();
    a->rc = v2_resolve_ask(rs, &a->q, name, family);

    if (a->calls != before) {
        fail("%s: done() inside ask", engine);
    }

    return a->rc;
}


/* Asks and waits for the end. */
static const ask_t *
get(const char *name, v2_family_e family)
{
    unsigned       i;
    uint64_t       start;
    static ask_t   a;

    memset(&a, 0, sizeof(a));
    clock_turn();
    start = v2_now_ms();
    (void) ask(&a, name, family);

    for (i = 0; a.rc == V2_AGAIN && a.calls == 0 && i < 1000; i++) {
        loop_turn();
    }

    if (a.rc == V2_AGAIN && a.calls != 1) {
        fail("%s: %s: done() %u times", engine, name, a.calls);
    }

    a.took_ms = v2_now_ms() - start;

    return &a;
}


/* "1.1.1.1 ::1", or why not. */
static const char *
text_of(const ask_t *a)
{
    char         one[V2_ADDR_TEXT];
    size_t       len;
    uint32_t     i;
    static char  text[512];

    if (a->q.n == 0) {
        return a->q.why != NULL ? a->q.why : "(no reason)";
    }

    len = 0;

    for (i = 0; i < a->q.n; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s%s",
                                 i ? " " : "",
                                 v2_addr_print(&a->q.addrs[i], one, 1));
    }

    return text;
}


/* How often the server was asked: "A name", "AAAA name", "tcp A name". */
static int
asked(const char *what)
{
    int    n;
    char   line[400];
    FILE  *f;

    n = 0;
    f = fopen(asked_log, "r");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        n += strcmp(line, what) == 0 || strcmp(line + 4, what) == 0;
    }

    if (f != NULL) {
        (void) fclose(f);
    }

    return n;
}


static int
open_fds(void)
{
    int   n;
    DIR  *d;

    n = 0;
    d = opendir("/proc/self/fd");

    while (d != NULL && readdir(d) != NULL) {
        n++;
    }

    (void) closedir(d);

    return n;
}


static void
begin(const char *servers)
{
    put_file(asked_log, "");
    ahead_ms = 0;
    clock_turn();
    rs = v2_resolve_create(ring, servers, resolv, hosts);

    if (rs == NULL) {
        exit(2);
    }

    rs->names.six = 0;          /* the order must not depend on the machine */
}


static void
end(void)
{
    unsigned  i;

    v2_resolve_destroy(rs);
    rs = NULL;

    for (i = 0; i < 4; i++) {
        turn(1);
    }
}


static void
test_answers(void)
{
    size_t  i;

    static const struct {
        const char   *name;
        v2_family_e   family;
        const char   *want;
    } rows[] = {
        { "both.test", V2_FAMILY_ANY, "192.0.2.1 2001:db8::1 192.0.2.2 "
          "2001:db8::2" },
        { "both.test", V2_FAMILY_4, "192.0.2.1 192.0.2.2" },
        { "both.test", V2_FAMILY_6, "2001:db8::1 2001:db8::2" },
        { "both.test", V2_FAMILY_46, "192.0.2.1 192.0.2.2" },
        { "four.test", V2_FAMILY_ANY, "192.0.2.4" },
        { "four.test", V2_FAMILY_46, "192.0.2.4" },
        { "four.test", V2_FAMILY_6, "name has no address" },
        { "six.test", V2_FAMILY_ANY, "2001:db8::6" },
        { "six.test", V2_FAMILY_46, "2001:db8::6" },
        { "six.test", V2_FAMILY_4, "name has no address" },
        { "empty.test", V2_FAMILY_ANY, "name has no address" },
        { "nowhere.test", V2_FAMILY_ANY, "no such name" },
        { "nowhere.test", V2_FAMILY_6, "no such name" },
        { "alias.test", V2_FAMILY_4, "192.0.2.4" },
        { "dangling.test", V2_FAMILY_4, "name has no address" },
        { "many.test", V2_FAMILY_4, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 "
          "192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8" },
        { "fails.test", V2_FAMILY_ANY, FAILS },
        { "refused.test", V2_FAMILY_4, FAILS },
        { "half.test", V2_FAMILY_ANY, "192.0.2.9" },
        { "half.test", V2_FAMILY_6, FAILS },
        { "wrongid.test", V2_FAMILY_4, "192.0.2.10" },
        { "BOTH.Test.", V2_FAMILY_4, "192.0.2.1 192.0.2.2" },
        { "mapped.test", V2_FAMILY_6, "name has no address of the family" },
        { "", V2_FAMILY_4, "not a host name" },
        { ".", V2_FAMILY_4, "not a host name" },
        { "a..b", V2_FAMILY_4, "not a host name" },
        { ".a", V2_FAMILY_4, "not a host name" },
        { "a b", V2_FAMILY_4, "not a host name" },
        { "a\\.b", V2_FAMILY_4, "not a host name" },
        { "a-label-of-64-bytes-is-one-byte-more-than-a-name-server-may-hear-"
          ".test", V2_FAMILY_4, "not a host name" },
    };

    begin(server);

    for (i = 0; i < v2_nelems(rows); i++) {
        is_str(text_of(get(rows[i].name, rows[i].family)), rows[i].want,
               "%s: \"%s\" %d", engine, rows[i].name, rows[i].family);
    }

    rs->names.six = 1;
    is_str(text_of(get("both.test", V2_FAMILY_ANY)), "2001:db8::1 192.0.2.1 "
           "2001:db8::2 192.0.2.2", "%s: IPv6 first where it goes out",
           engine);
    is_str(text_of(get("both.test", V2_FAMILY_46)), "192.0.2.1 192.0.2.2",
           "%s: ... but not where IPv4 is preferred", engine);
    is_int(asked("A both.test"), 1, "%s: asked once in all", engine);

    end();
}


/* The cut answer over UDP is asked for again over TCP. */
static void
test_tcp(void)
{
    int  before;

    begin(server);
    before = open_fds();

    is_str(text_of(get("large.test", V2_FAMILY_4)), "192.0.2.1 192.0.2.2",
           "%s: a cut answer", engine);
    is_int(asked("udp A large.test"), 1, "%s: over UDP first", engine);
    is_int(asked("tcp A large.test"), 1, "%s: then over TCP", engine);

    for (int i = 0; i < 5; i++) {
        loop_turn();
    }

    is_int(open_fds(), before, "%s: all sockets are closed", engine);
    end();
}


static void
test_cache(void)
{
    int    n;
    ask_t  a;

    begin(server);
    memset(&a, 0, sizeof(a));

    (void) get("ttl0.test", V2_FAMILY_4);
    ahead_ms += 4000;
    is_int(ask(&a, "ttl0.test", V2_FAMILY_4), V2_OK, "%s: TTL 0 holds for "
           "5 s", engine);
    is_str(text_of(&a), "192.0.2.20", "%s: answered in the call", engine);
    ahead_ms += 2000;
    (void) get("ttl0.test", V2_FAMILY_4);
    is_int(asked("A ttl0.test"), 2, "%s: ... and no longer", engine);

    (void) get("ttlmax.test", V2_FAMILY_4);
    ahead_ms += 3598 * 1000;
    is_int(ask(&a, "ttlmax.test", V2_FAMILY_4), V2_OK, "%s: a week holds for "
           "an hour", engine);
    ahead_ms += 3000;
    (void) get("ttlmax.test", V2_FAMILY_4);
    is_int(asked("A ttlmax.test"), 2, "%s: ... and no longer", engine);

    (void) get("alias.test", V2_FAMILY_4);
    ahead_ms += 19000;
    is_int(ask(&a, "alias.test", V2_FAMILY_4), V2_OK, "%s: CNAME holds",
           engine);
    ahead_ms += 2000;
    (void) get("alias.test", V2_FAMILY_4);
    is_int(asked("A alias.test"), 2, "%s: ... for the shortest TTL", engine);

    (void) get("nosoa.test", V2_FAMILY_4);
    (void) get("soa10.test", V2_FAMILY_4);
    (void) get("soa900.test", V2_FAMILY_4);
    (void) get("fails.test", V2_FAMILY_4);
    ahead_ms += 1500;
    is_int(ask(&a, "fails.test", V2_FAMILY_4), V2_ERROR, "%s: a failure "
           "holds for a moment", engine);
    ahead_ms += 8000;
    is_int(ask(&a, "soa10.test", V2_FAMILY_4), V2_ERROR, "%s: no address "
           "holds as the SOA says", engine);
    is_str(a.q.why, "name has no address", "%s: ... with its reason", engine);
    ahead_ms += 1000;
    (void) get("soa10.test", V2_FAMILY_4);
    is_int(asked("A soa10.test"), 2, "%s: ... and no longer", engine);
    n = asked("A fails.test");
    (void) get("fails.test", V2_FAMILY_4);
    ok(asked("A fails.test") > n, "%s: a failure is asked again", engine);
    ahead_ms += 18000;
    is_int(ask(&a, "nosoa.test", V2_FAMILY_4), V2_ERROR, "%s: 30 s without "
           "a SOA", engine);
    ahead_ms += 4000;
    (void) get("nosoa.test", V2_FAMILY_4);
    is_int(asked("A nosoa.test"), 2, "%s: ... and no longer", engine);
    ahead_ms += 26000;
    is_int(ask(&a, "soa900.test", V2_FAMILY_4), V2_ERROR, "%s: a long SOA",
           engine);
    ahead_ms += 4000;
    (void) get("soa900.test", V2_FAMILY_4);
    is_int(asked("A soa900.test"), 2, "%s: ... holds for 60 s", engine);

    end();
}


static ask_t  many[16];
static int    order_n;


static void
then_ask(ask_t *a)
{
    ask_t  *next = a + 1;

    order_n++;

    if (next < many + v2_nelems(many)) {
        is_int(v2_resolve_ask(rs, &next->q, "slow.test", V2_FAMILY_4), V2_OK,
               "%s: asked inside done(): from memory", engine);
        v2_resolve_cancel(rs, &next->q);
    }
}


static void
then_cancel(ask_t *a)
{
    v2_resolve_cancel(rs, &(a + 1)->q);
    v2_resolve_cancel(rs, &(a + 1)->q);
    v2_resolve_cancel(rs, &a->q);
}


static void
test_merged(void)
{
    int     i, n;
    ask_t   other;

    begin(server);
    memset(many, 0, sizeof(many));
    memset(&other, 0, sizeof(other));

    for (i = 0; i < 16; i++) {
        is_int(ask(&many[i], "slow.test", i % 2 ? V2_FAMILY_4
                                                : V2_FAMILY_ANY),
               V2_AGAIN, "%s: asker %d waits", engine, i);
    }

    for (i = 0; i < 200 && many[14].calls == 0; i++) {
        loop_turn();
    }

    for (i = 0, n = 0; i < 16; i++) {
        n += many[i].calls == 1 && many[i].q.n == (i % 2 ? 1 : 2);
    }

    is_int(n, 16, "%s: all are answered, once", engine);
    is_int(asked("A slow.test"), 1, "%s: by one question", engine);
    is_int(asked("AAAA slow.test"), 1, "%s: for each kind", engine);

    /* an asker that cancels its neighbour, and one that asks again */

    ahead_ms += 100000;
    memset(many, 0, sizeof(many));
    order_n = 0;
    many[0].then = then_cancel;
    many[3].then = then_ask;

    for (i = 0; i < 4; i++) {
        (void) ask(&many[i], "slow.test", V2_FAMILY_4);
    }

    (void) ask(&other, "four.test", V2_FAMILY_4);
    v2_resolve_cancel(rs, &other.q);
    v2_resolve_cancel(rs, &other.q);

    for (i = 0; i < 200 && many[3].calls == 0; i++) {
        loop_turn();
    }

    for (i = 0; i < 5; i++) {
        loop_turn();
    }

    ok(many[0].calls == 1 && many[2].calls == 1 && many[3].calls == 1,
       "%s: who waits is answered", engine);
    is_int(many[1].calls, 0, "%s: who was cancelled is not", engine);
    is_int(other.calls, 0, "%s: nor before the answer came", engine);
    is_int(ask(&other, "four.test", V2_FAMILY_4), V2_OK, "%s: its answer is "
           "kept", engine);

    end();
}


/* A server that never answers for AAAA must not cost seconds. */
static void
test_half(void)
{
    const ask_t  *a;

    begin(server);

    a = get("noaaaa.test", V2_FAMILY_ANY);
    is_str(text_of(a), "192.0.2.30", "%s: no answer for AAAA", engine);
    ok(a->took_ms >= 50 && a->took_ms < 1000, "%s: ... costs %d ms", engine,
       (int) a->took_ms);
    a = get("noaaaa.test", V2_FAMILY_ANY);
    is_int(a->rc, V2_OK, "%s: ... and nothing the second time", engine);

    a = get("noaaaa2.test", V2_FAMILY_46);
    is_str(text_of(a), "192.0.2.31", "%s: where IPv4 is preferred", engine);
    ok(a->took_ms < 1000, "%s: ... it does not matter, %d ms", engine,
       (int) a->took_ms);

    a = get("lateaaaa.test", V2_FAMILY_ANY);
    is_str(text_of(a), "192.0.2.32", "%s: a late AAAA is left out", engine);

    for (int i = 0; i < 100 && asked("AAAA lateaaaa.test") == 0; i++) {
        loop_turn();
    }

    for (int i = 0; i < 25; i++) {
        loop_turn();
    }

    is_str(text_of(get("lateaaaa.test", V2_FAMILY_ANY)),
           "192.0.2.32 2001:db8::32", "%s: ... and there the next time",
           engine);

    end();
}


static void
test_servers(void)
{
    int                      fd;
    char                     text[64];
    ask_t                    silent;
    socklen_t                len;
    struct sockaddr_storage  ss;
    struct sockaddr_in       sin;

    /* a port that nobody has, and one that nobody reads */

    fd = bound(AF_INET, SOCK_DGRAM, &ss, &len);
    memcpy(&sin, &ss, sizeof(sin));
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(sin.sin_port));
    (void) close(fd);

    begin(text);
    is_str(text_of(get("four.test", V2_FAMILY_ANY)),
           FAILS, "%s: a closed port", engine);
    end();

    fd = bound(AF_INET, SOCK_DGRAM, &ss, &len);
    memcpy(&sin, &ss, sizeof(sin));
    snprintf(text, sizeof(text), "127.0.0.1:%u,%s", ntohs(sin.sin_port),
             server);

    begin(text);
    is_str(text_of(get("four.test", V2_FAMILY_4)), "192.0.2.4",
           "%s: the second server answers for a silent first", engine);
    end();

    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(sin.sin_port));
    begin(text);
    memset(&silent, 0, sizeof(silent));
    silent.q.why = "waits";
    is_int(ask(&silent, "four.test", V2_FAMILY_4), V2_AGAIN, "%s: asked",
           engine);
    end();
    is_int(silent.calls, 0, "%s: who waits at the end is not called", engine);
    v2_resolve_cancel(NULL, &silent.q);
    pass("%s: ... and may cancel later", engine);

    begin(text);
    is_str(text_of(get("four.test", V2_FAMILY_4)),
           "name servers do not answer", "%s: silence ends", engine);
    end();
    (void) close(fd);
}


/* The files are looked at again after 10 s. */
static void
test_files(void)
{
    ask_t  slow;

    put_file(hosts, "# comment\n127.0.0.1 localhost\n"
             "192.0.2.50\tFile.Test  alias\n2001:db8::50 file.test # six\n"
             "nonsense line\n192.0.2.51");
    put_file(resolv, "nameserver 127.0.0.2\n");
    begin(NULL);

    is_str(text_of(get("file.test", V2_FAMILY_ANY)),
           "192.0.2.50 2001:db8::50", "%s: the hosts file", engine);
    is_str(text_of(get("ALIAS.", V2_FAMILY_ANY)), "192.0.2.50",
           "%s: an alias", engine);
    is_int(get("alias", V2_FAMILY_6)->rc, V2_ERROR,
           "%s: without IPv6, without a question", engine);
    is_str(text_of(get("localhost", V2_FAMILY_ANY)), "127.0.0.1",
           "%s: localhost of the file", engine);
    is_str(text_of(get("a.localhost", V2_FAMILY_ANY)), "127.0.0.1 ::1",
           "%s: names below it", engine);
    is_str(text_of(get("notlocalhost", V2_FAMILY_ANY)),
           FAILS, "%s: and no others", engine);

    put_file(hosts, "192.0.2.52 file.test\n");
    put_file(resolv, "search example.test\noptions ndots:5\n"
             "nameserver 127.0.0.1\n");

    is_str(text_of(get("file.test", V2_FAMILY_ANY)),
           "192.0.2.50 2001:db8::50", "%s: not looked at again", engine);
    ahead_ms += 11000;
    is_str(text_of(get("file.test", V2_FAMILY_ANY)), "192.0.2.52",
           "%s: a new hosts file", engine);
    is_str(text_of(get("four.test", V2_FAMILY_ANY)), "192.0.2.4",
           "%s: a new resolv.conf", engine);
    is_str(text_of(get("word", V2_FAMILY_4)), "no such name",
           "%s: a word is a whole name", engine);
    is_int(asked("A word.example.test"), 0, "%s: no search domain", engine);

    /* the server changes while a question is open */

    memset(&slow, 0, sizeof(slow));
    (void) ask(&slow, "slow.test", V2_FAMILY_4);
    put_file(resolv, "nameserver 127.0.0.2\n");
    ahead_ms += 11000;
    is_str(text_of(get("both.test", V2_FAMILY_4)), FAILS,
           "%s: the new server", engine);

    for (int i = 0; i < 100 && slow.calls == 0; i++) {
        loop_turn();
    }

    is_str(text_of(&slow), "192.0.2.40", "%s: the old one still answers",
           engine);
    loop_turn();
    ok(rs->old == NULL, "%s: ... and is gone", engine);

    (void) unlink(hosts);
    (void) unlink(resolv);
    ahead_ms += 11000;
    is_str(text_of(get("file.test", V2_FAMILY_ANY)), "192.0.2.52",
           "%s: a removed file changes nothing", engine);
    end();
    put_file(hosts, "127.0.0.1 localhost\n");
    put_file(resolv, "nameserver 127.0.0.2\n");
}


/* More questions than may be open at once. */
static void
test_flood(void)
{
    char           name[64];
    int            i, again, refused, wrong;
    static ask_t   asks[1200];

    begin(server);
    memset(asks, 0, sizeof(asks));
    again = refused = wrong = 0;

    for (i = 0; i < 1200; i++) {
        snprintf(name, sizeof(name), "n%d.drop.test", i);

        switch (ask(&asks[i], name, V2_FAMILY_4)) {

        case V2_AGAIN:
            again++;
            break;

        case V2_ERROR:
            refused++;
            wrong += strcmp(asks[i].q.why,
                            "too many names are being resolved") != 0;
            break;

        default:
            wrong++;
        }
    }

    is_int(again, V2_RESOLVE_ASKING, "%s: questions open at once", engine);
    is_int(refused, 1200 - V2_RESOLVE_ASKING, "%s: the others are refused",
           engine);
    is_int(wrong, 0, "%s: with the reason", engine);

    for (i = 0; i < 1200; i += 2) {
        v2_resolve_cancel(rs, &asks[i].q);
    }

    for (i = 0; i < 5; i++) {
        loop_turn();
    }

    end();

    for (i = 0, wrong = 0; i < 1200; i++) {
        wrong += asks[i].calls != 0;
    }

    is_int(wrong, 0, "%s: the end calls nobody", engine);
}


/* Bad answers end as a failure, never in memory that is not theirs. */
static void
test_foreign(void)
{
    begin(server);
    ok(get("garbage.test", V2_FAMILY_4)->q.n == 0, "%s: no answer at all",
       engine);
    end();
}


/* No descriptor is left: a failure at once, and nothing that stays. */
static void
test_limit(void)
{
    int             fd;
    const ask_t    *a;
    struct rlimit   rl, low;

    begin(server);
    fd = dup(0);
    (void) close(fd);
    (void) getrlimit(RLIMIT_NOFILE, &rl);
    low = rl;
    low.rlim_cur = (rlim_t) fd;
    (void) setrlimit(RLIMIT_NOFILE, &low);

    a = get("four.test", V2_FAMILY_4);
    is_str(text_of(a), FAILS, "%s: no descriptor is left", engine);
    ok(a->took_ms < 1000, "%s: ... told in %d ms", engine, (int) a->took_ms);
    ahead_ms += 11000;
    is_str(text_of(get("localhost", V2_FAMILY_4)), "127.0.0.1", "%s: the "
           "hosts file stays as it was read", engine);

    (void) setrlimit(RLIMIT_NOFILE, &rl);
    is_str(text_of(get("four.test", V2_FAMILY_4)), "192.0.2.4", "%s: later "
           "there are some", engine);
    end();
}


static void
server_start(void)
{
    int      in[2], out[2];
    char     port[16];
    ssize_t  n;

    if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1) {
        exit(2);
    }

    server_pid = fork();

    if (server_pid == 0) {
        (void) dup2(in[0], 0);
        (void) dup2(out[1], 1);
        (void) execlp("python3", "python3", "t/lib/dns.py", table, "--log",
                      asked_log, (char *) NULL);
        _exit(127);
    }

    (void) close(in[0]);
    (void) close(out[1]);
    server_in = in[1];
    n = read(out[0], port, sizeof(port) - 1);
    (void) close(out[0]);

    if (n <= 0) {
        skip_all("t/lib/dns.py does not start");
    }

    port[n] = '\0';
    server_port = (unsigned short) atoi(port);
    snprintf(server, sizeof(server), "127.0.0.1:%u", server_port);
}


static const char  names_text[] =
    "{"
    "\"both.test\": {\"A\": [\"192.0.2.1\", \"192.0.2.2\"],"
    "               \"AAAA\": [\"2001:db8::1\", \"2001:db8::2\"]},"
    "\"four.test\": {\"A\": [\"192.0.2.4\"], \"ttl\": 600},"
    "\"six.test\": {\"AAAA\": [\"2001:db8::6\"]},"
    "\"empty.test\": {},"
    "\"alias.test\": {\"CNAME\": \"four.test\", \"ttl\": 20},"
    "\"dangling.test\": {\"CNAME\": \"gone.test\"},"
    "\"many.test\": {\"A\": [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\","
    "  \"192.0.2.4\", \"192.0.2.5\", \"192.0.2.6\", \"192.0.2.7\","
    "  \"192.0.2.8\", \"192.0.2.9\", \"192.0.2.10\"]},"
    "\"mapped.test\": {\"AAAA\": [\"::ffff:192.0.2.1\"]},"
    "\"large.test\": {\"A\": [\"192.0.2.1\", \"192.0.2.2\"], \"tc\": true},"
    "\"fails.test\": {\"rcode\": 2},"
    "\"refused.test\": {\"rcode\": 5},"
    "\"half.test\": {\"A\": [\"192.0.2.9\"], \"rcode_AAAA\": 2},"
    "\"wrongid.test\": {\"A\": [\"192.0.2.10\"], \"wrong\": \"id\"},"
    "\"garbage.test\": {\"garbage\": true},"
    "\"ttl0.test\": {\"A\": [\"192.0.2.20\"], \"ttl\": 0},"
    "\"ttlmax.test\": {\"A\": [\"192.0.2.21\"], \"ttl\": 604800},"
    "\"nosoa.test\": {\"soa\": null},"
    "\"soa10.test\": {\"soa\": 10},"
    "\"soa900.test\": {\"soa\": 900},"
    "\"slow.test\": {\"A\": [\"192.0.2.40\"], \"AAAA\": [\"2001:db8::40\"],"
    "               \"delay\": 0.15},"
    "\"noaaaa.test\": {\"A\": [\"192.0.2.30\"], \"drop_AAAA\": true},"
    "\"noaaaa2.test\": {\"A\": [\"192.0.2.31\"], \"drop_AAAA\": true},"
    "\"lateaaaa.test\": {\"A\": [\"192.0.2.32\"],"
    "               \"AAAA\": [\"2001:db8::32\"], \"delay_AAAA\": 0.3},"
    "\"*.drop.test\": {\"drop\": true}"
    "}";


int
main(void)
{
    static const ring_test_t  tests[] = {
        { "answers", test_answers, 0, NULL },
        { "tcp", test_tcp, 0, NULL },
        { "cache", test_cache, 0, NULL },
        { "merged", test_merged, 0, NULL },
        { "half", test_half, 0, NULL },
        { "servers", test_servers, 0, NULL },
        { "files", test_files, 0, NULL },
        { "flood", test_flood, 0, NULL },
        { "foreign", test_foreign, 0, NULL },
        { "limit", test_limit, 0, NULL },
    };

    if (mkdtemp(dir) == NULL) {
        return 2;
    }

    snprintf(table, sizeof(table), "%s/table", dir);
    snprintf(asked_log, sizeof(asked_log), "%s/log", dir);
    snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
    snprintf(resolv, sizeof(resolv), "%s/resolv.conf", dir);
    put_file(table, names_text);
    put_file(asked_log, "");
    put_file(hosts, "127.0.0.1 localhost\n");
    put_file(resolv, "nameserver 127.0.0.2\n");

    server_start();
    ring_run(tests, v2_nelems(tests));

    (void) close(server_in);
    (void) waitpid(server_pid, NULL, 0);
    (void) unlink(table);
    (void) unlink(asked_log);
    (void) unlink(hosts);
    (void) unlink(resolv);
    (void) rmdir(dir);

    return done_testing();
}
