/* Addresses: parsing and printing are inverse, no spelling of a private
 * address passes, and names are read as the reference server reads them. */
/* needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c */

#include "../../../src/core/v2_addr.c"

#include "../tap.h"


static uint32_t  seed = 1;


/* Repeatable numbers (Numerical Recipes). */
static uint32_t
any(void)
{
    seed = seed * 1664525u + 1013904223u;

    return seed ^ seed >> 16;
}


static void
test_parse(void)
{
    size_t     i;
    v2_addr_t  a, before;
    char       out[V2_ADDR_TEXT];

    static const char *const  good[][2] = {
        { "1.2.3.4", "1.2.3.4" },
        { "255.255.255.255", "255.255.255.255" },
        { "[1.2.3.4]", "1.2.3.4" },
        { "::", "::" },
        { "[::1]", "::1" },
        { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "::ffff:10.0.0.1", "10.0.0.1" },
        { "::ffff:a00:1", "10.0.0.1" },
        { "[0:0:0:0:0:ffff:127.0.0.1]", "127.0.0.1" },
        { "64:ff9b::1.2.3.4", "64:ff9b::102:304" },
    };
    static const char *const  bad[] = {
        "", "[", "[]", "1", "1.2.3", "127.1", "0x7f.0.0.1", "010.0.0.1",
        "1.2.3.256", "1.2.3.4.", " 1.2.3.4", "1.2.3.4:80", "2130706433",
        ":::", "1::2::3", "fe80::1%lo", "[::1", "::1]", "[[::1]]",
        "12345::", "::ffff:1.2.3.400",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
    };

    for (i = 0; i < v2_nelems(good); i++) {
        memset(&a, 0xff, sizeof(a));
        a.port = 77;
        is_int(v2_addr_parse(&a, good[i][0]), V2_OK, "\"%s\"", good[i][0]);
        is_str(v2_addr_print(&a, out, 1), good[i][1], "... prints so");
        is_int(a.port, 77, "... leaves the port alone");
        ok(a.family == 6 || memcmp(a.ip + 4, "\0\0\0\0\0\0\0\0\0\0\0\0", 12)
           == 0, "... and zeroes behind an IPv4 address");
    }

    memset(&before, 0x5a, sizeof(before));

    for (i = 0; i < v2_nelems(bad); i++) {
        a = before;
        is_int(v2_addr_parse(&a, bad[i]), V2_ERROR, "not \"%s\"", bad[i]);
        ok(memcmp(&a, &before, sizeof(a)) == 0, "... which changes nothing");
    }

    memset(&a, 0, sizeof(a));
    is_str(v2_addr_print(&a, out, 0), "unset", "family 0 prints");
    (void) v2_addr_parse(&a, "1.2.3.4");
    a.port = 80;
    is_str(v2_addr_print(&a, out, 0), "1.2.3.4:80", "IPv4 with port");
    (void) v2_addr_parse(&a, "::1");
    is_str(v2_addr_print(&a, out, 0), "[::1]:80", "IPv6 with port");
}


/* Print, parse and the sockets form keep every address; three inverse pairs
 * over 20000 random ones, one check each. */
static void
test_inverse(void)
{
    int                      i, k, text, sa, same;
    char                     out[V2_ADDR_TEXT];
    uint8_t                  ip[16];
    v2_addr_t                a, b;
    socklen_t                len;
    struct sockaddr_storage  ss;

    text = sa = same = 0;

    for (i = 0; i < 20000; i++) {
        for (k = 0; k < 16; k++) {
            ip[k] = (i & 6) == 0 && k < 10 ? 0 : (uint8_t) any();
        }

        if ((i & 14) == 0) {
            ip[10] = ip[11] = 0xff;             /* v4-mapped */
        }

        memset(&a, 0, sizeof(a));
        v2_addr_set(&a, ip, i & 1 ? 4 : 16);
        a.port = (uint16_t) any();

        memset(&b, 0, sizeof(b));
        b.port = a.port;

        text += v2_addr_parse(&b, v2_addr_print(&a, out, 1)) == V2_OK
                && v2_addr_eq(&a, &b);

        len = v2_addr_to_sa(&a, &ss);
        v2_addr_from_sa(&b, (struct sockaddr *) &ss);
        sa += v2_addr_eq(&a, &b) && memcmp(&a, &b, sizeof(a)) == 0
              && len == (a.family == 4 ? sizeof(struct sockaddr_in)
                                       : sizeof(struct sockaddr_in6));

        b.port ^= 1;
        same += !v2_addr_eq(&a, &b) && v2_addr_same_ip(&a, &b);
    }

    is_int(text, i, "parse(print(a)) is a");
    is_int(sa, i, "from_sa(to_sa(a)) is a");
    is_int(same, i, "eq looks at the port, same_ip does not");
}


static void
test_mapped(void)
{
    v2_addr_t            a, b;
    struct sockaddr_in6  sin6;

    memset(&sin6, 0, sizeof(sin6));
    sin6.sin6_family = AF_INET6;
    sin6.sin6_port = htons(443);
    (void) inet_pton(AF_INET6, "::ffff:192.0.2.1", &sin6.sin6_addr);

    v2_addr_from_sa(&a, (struct sockaddr *) &sin6);
    is_int(a.family, 4, "a v4-mapped peer is IPv4");
    is_int(a.port, 443, "... with its port");

    memset(&b, 0, sizeof(b));
    (void) v2_addr_parse(&b, "192.0.2.1");
    ok(v2_addr_same_ip(&a, &b), "... and the right address");

    (void) v2_addr_parse(&a, "64:ff9b::192.0.2.1");
    a.port = 5;
    ok(v2_addr_nat64(&a, &b), "NAT64 prefix is seen");
    ok(b.family == 4 && b.port == 5, "... as IPv4 with the port");
    (void) v2_addr_parse(&a, "64:ff9b:0:0:0:1:c000:201");
    ok(!v2_addr_nat64(&a, &b), "another prefix is not");
    ok(!v2_addr_nat64(&b, &a), "IPv4 is not");
}


static void
test_private(void)
{
    size_t     i;
    v2_addr_t  a;

    static const char *const  yes[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
        "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
        "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0",
        "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.168.0.0",
        "192.168.255.255", "198.18.0.0", "198.19.255.255", "224.0.0.1",
        "239.255.255.255", "240.0.0.0", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "fc00::", "fdff:ffff::1",
        "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "ff02::1",
        "100::1", "64:ff9b:1::1", "64:ff9b:1:ffff::808:808",
        "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
        "64:ff9b::127.0.0.1", "::ffff:127.0.0.1", "::ffff:192.168.1.1",
        "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101:1:2:3:4:5",
        "2002:a9fe:a9fe::1",
    };
    static const char *const  no[] = {
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
        "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
        "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "8.8.8.8",
        "2001:4860:4860::8888", "2606:4700::1111", "fbff::1",
        "64:ff9b::8.8.8.8", "64:ff9a:ffff::1", "64:ff9b:2::1",
        "::ffff:8.8.8.8", "2002:808:808::1", "2003::1", "101::1",
        "::8.8.8.8",
    };

    memset(&a, 0, sizeof(a));
    ok(v2_addr_private(&a), "an address that is not set is refused");

    for (i = 0; i < v2_nelems(yes); i++) {
        ok(v2_addr_parse(&a, yes[i]) == V2_OK && v2_addr_private(&a),
           "private: %s", yes[i]);
    }

    for (i = 0; i < v2_nelems(no); i++) {
        ok(v2_addr_parse(&a, no[i]) == V2_OK && !v2_addr_private(&a),
           "not private: %s", no[i]);
    }
}


/* A spelling of an IPv4 address is private exactly when the address is. */
static void
test_spellings(void)
{
    int        i, k, n;
    uint8_t    ip[16];
    v2_addr_t  a, b;

    static const uint8_t  heads[][12] = {
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff },
        { 0, 0x64, 0xff, 0x9b },
        { 0 },
    };

    n = 0;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));

    for (i = 0; i < 30000; i++) {
        for (k = 0; k < 4; k++) {
            ip[12 + k] = (uint8_t) any();
        }

        v2_addr_set(&a, ip + 12, 4);
        memcpy(ip, heads[i % 3], 12);
        v2_addr_set(&b, ip, 16);
        n += v2_addr_private(&a) == v2_addr_private(&b);

        memset(ip, 0, 2);
        ip[0] = 0x20;
        ip[1] = 0x02;
        memcpy(ip + 2, a.ip, 4);
        memset(ip + 6, (uint8_t) any(), 10);
        v2_addr_set(&b, ip, 16);
        n += v2_addr_private(&a) == v2_addr_private(&b);
    }

    is_int(n, 2 * i, "mapped, NAT64, compatible and 6to4 follow the IPv4");
}


static void
test_dest(void)
{
    size_t      i;
    char        out[V2_NAME_MAX + 8], name[300];
    v2_dest_t   d, before;

    static const char *const  bad[] = {
        "a b", "a/b", "a:80", "ex\xc3\xa4mple", "a\\.b", "::1", "[::1",
        "a%b", "a@b", "a,b", "fe80::1",
    };

    memset(&d, 0, sizeof(d));
    d.port = 443;
    d.udp = 1;

    is_int(v2_dest_set_name(&d, "WWW.Example_1-x.COM", 19), V2_OK, "a name");
    is_str(d.name, "www.example_1-x.com", "... in lower case");
    is_int(d.name_len, 19, "... its length");
    is_int(d.addr.family, 0, "... is no address");
    ok(d.port == 443 && d.udp == 1, "... the rest stays");
    is_str(v2_dest_print(&d, out), "www.example_1-x.com:443", "... prints");

    is_int(v2_dest_set_name(&d, "10.0.0.1", 8), V2_OK, "an IPv4 literal");
    ok(d.addr.family == 4 && d.addr.port == 443, "... is an address");
    ok(d.name_len == 0 && d.name[0] == '\0', "... and no name");
    is_str(v2_dest_print(&d, out), "10.0.0.1:443", "... prints");

    is_int(v2_dest_set_name(&d, "[2001:db8::1]", 13), V2_OK, "[IPv6]");
    is_str(v2_dest_print(&d, out), "[2001:db8::1]:443", "... prints");
    is_int(v2_dest_set_name(&d, "2001:db8::2", 11), V2_OK,
           "IPv6 that begins with a digit");
    is_int(d.addr.family, 6, "... is an address");
    is_int(v2_dest_set_name(&d, "::ffff:1.2.3.4", 14), V2_ERROR,
           "one that begins with a colon is neither");

    is_int(v2_dest_set_name(&d, "127.1", 5), V2_OK, "127.1 is a name");
    is_int(d.addr.family, 0, "... to be resolved");
    is_int(v2_dest_set_name(&d, "0x7f000001", 10), V2_OK, "0x7f000001 too");
    is_int(d.addr.family, 0, "... to be resolved");

    before = d;

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(v2_dest_set_name(&d, bad[i], strlen(bad[i])), V2_ERROR,
               "refused: \"%s\"", bad[i]);
    }

    is_int(v2_dest_set_name(&d, "", 0), V2_ERROR, "refused: empty");
    is_int(v2_dest_set_name(&d, "a\0b", 3), V2_ERROR, "refused: a zero");
    is_int(v2_dest_set_name(&d, "1.1.1.1\0", 8), V2_ERROR,
           "refused: a zero behind a literal");
    memset(name, 'a', sizeof(name));
    is_int(v2_dest_set_name(&d, name, 256), V2_ERROR, "refused: 256 bytes");
    ok(memcmp(&d, &before, sizeof(d)) == 0, "a refusal changes nothing");
    is_int(v2_dest_set_name(&d, name, 255), V2_OK, "255 bytes");
    is_int((long long) strlen(d.name), 255, "... whole");
    v2_dest_print(&d, out);
    is_str(out + 255, ":443", "... print with the port");
}


int
main(void)
{
    test_parse();
    test_inverse();
    test_mapped();
    test_private();
    test_spellings();
    test_dest();

    return done_testing();
}
