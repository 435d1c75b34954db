/* The hosts file: forms of lines, order, and a file with a hundred thousand
 * names. */
/* needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_time.c src/core/v2_core.c */

#include "../../../src/core/v2_hosts.c"

#include "../tap.h"

static v2_hosts_t  *hosts;


static const char *
find(const char *name)
{
    char         one[V2_ADDR_TEXT];
    size_t       len;
    uint32_t     i, n;
    v2_addr_t    addrs[3];
    static char  text[256];

    n = v2_hosts_find(hosts, name, addrs, v2_nelems(addrs));
    text[0] = '\0';
    len = 0;

    for (i = 0; i < n; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s%s",
                                 i ? " " : "",
                                 v2_addr_print(&addrs[i], one, 1));
    }

    return text;
}


static void
test_forms(void)
{
    char         zero[] = "127.0.0.1 one\0two\n";
    static const char  text[] =
        "# comment\n"
        "127.0.0.1\tLocalHost localhost.localdomain\n"
        "   192.0.2.1   a.test  b.test.  # c.test\n"
        "192.0.2.2 a.test\r\n"
        "2001:db8::1 a.test\n"
        "192.0.2.3 a.test\n"
        "#192.0.2.9 d.test\n"
        "not-an-address e.test\n"
        "192.0.2.300 e.test\n"
        "fe80::1%lo0 e.test\n"
        "192.0.2.4\n"
        "\n"
        ".. f.test\n"
        "192.0.2.5 . g.test\n"
        "192.0.2.6 last.test";

    hosts = v2_hosts_create(text, sizeof(text) - 1);
    ok(hosts != NULL, "a file");

    is_str(find("localhost"), "127.0.0.1", "tabs, and lower case");
    is_str(find("localhost.localdomain"), "127.0.0.1", "a second name");
    is_str(find("a.test"), "192.0.2.1 192.0.2.2 2001:db8::1",
           "the order of the file, at most as asked for");
    is_str(find("b.test"), "192.0.2.1", "a dot at the end");
    is_str(find("c.test"), "", "behind #");
    is_str(find("d.test"), "", "a line of comment");
    is_str(find("e.test"), "", "no address, no line");
    is_str(find("f.test"), "", "nonsense");
    is_str(find("g.test"), "192.0.2.5", "a lone dot is no name");
    is_str(find("last.test"), "192.0.2.6", "no newline at the end");
    is_str(find(""), "", "the empty name");
    v2_hosts_destroy(hosts);

    hosts = v2_hosts_create(zero, sizeof(zero) - 1);
    is_str(find("two"), "127.0.0.1", "a zero is a blank");
    v2_hosts_destroy(hosts);

    hosts = v2_hosts_create("", 0);
    is_str(find("a"), "", "an empty file");
    v2_hosts_destroy(hosts);
    v2_hosts_destroy(NULL);
}


static void
test_large(void)
{
    char    *text, name[64];
    size_t   len, i, n;

    text = malloc(100000 * 40);

    if (text == NULL) {
        exit(2);
    }

    for (i = 0, len = 0; i < 100000; i++) {
        len += (size_t) sprintf(text + len, "0.0.0.0 ad%zu.test\n", i);
    }

    hosts = v2_hosts_create(text, len);
    free(text);

    for (i = 0, n = 0; i < 100000; i += 997) {
        snprintf(name, sizeof(name), "ad%zu.test", i);
        n += strcmp(find(name), "0.0.0.0") == 0;
    }

    is_int(n, (i + 996) / 997, "names of a long file are found");
    is_str(find("ad100000.test"), "", "and no others");
    v2_hosts_destroy(hosts);
}


int
main(void)
{
    test_forms();
    test_large();

    ok(v2_hosts_load("/nonexistent/hosts") == NULL, "a missing file");
    ok(v2_hosts_load("/dev") == NULL, "a folder");

    return done_testing();
}
