/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/panel/v2_panel_json.c
 * needs: src/panel/v2_panel_ident.c */
/* libs: -ljansson -lm */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel.h"
#include "v2_panel_json.h"
#include "../tap.h"
#include "../../../src/panel/v2_panel_text.c"


static void
test_text(void)
{
    v2_text_t  t;

    v2_text_init(&t);
    v2_text_puts(&t, "n=");
    v2_text_uint(&t, 0);
    v2_text_uint(&t, UINT64_MAX);
    v2_text_url(&t, " a&b=c/\xc3\xa4~");
    is_str(t.data, "n=018446744073709551615%20a%26b%3Dc%2F%C3%A4~",
           "numbers and percents");
    v2_text_done(&t);

    v2_text_json(&t, "a\"b\\c\n\xff");
    is_str(t.data, "\"a\\\"b\\\\c\\u000a\\u00ff\"", "a JSON string");
    v2_text_done(&t);
}


static void
test_clean(void)
{
    char  out[32];

    v2_text_clean(out, sizeof(out), "a \n\tb\x01", 6, NULL);
    is_str(out, "a b", "blanks and control characters");

    v2_text_clean(out, sizeof(out), "/?token=s3cret&x=s3cret", 23, "s3cret");
    is_str(out, "/?token=***&x=***", "the secret is masked");

    v2_text_clean(out, 8, "0123456789", 10, NULL);
    ok(strlen(out) < 8, "cut to fit");
}


static void
test_message(void)
{
    char  out[64];

#define message(s)  v2_json_message(s, strlen(s), "key", out, sizeof(out))

    is_str(message("{\"message\":\"token is error\"}"), "token is error",
           "a message");
    is_str(message("{\"ret\":0,\"msg\":\"no such node\"}"), "no such node",
           "SSPanel's");
    is_str(message("<html><head><title>502 Bad Gateway</title></head></html>"),
           "502 Bad Gateway", "a page's title");
    is_str(message("plain key\n"), "plain ***", "anything else, masked");
    is_str(message(""), "", "nothing");
    is_str(message(" {\"users\":[{\"uuid\":\"3f1c"), "", "no JSON, cut off");
    is_str(message("{\"private_key\":\"x\"}"), "", "no JSON, whole");
    is_str(message("<title>"), "", "a title that broke off");
}


static void
test_identity(void)
{
    uint64_t         id;
    v2_node_conf_t   c;
    char             a[] = "https://panel.example/api?x=1";
    char             b[] = "https://panel.example/api/";
    char             d[] = "https://other.example/api";
    char             f[] = "file:/var/lib/x", g[] = "file:///var/lib/x";
    char             k[] = "key", l[] = "other";

    memset(&c, 0, sizeof(c));
    c.api_host = a;
    c.api_key = k;
    c.node_id = 7;
    id = v2_node_identity(&c);

    c.api_host = b;
    ok(v2_node_identity(&c) == id, "query and slash do not count");
    ok(v2_node_dir(&c) == NULL, "no folder");

    c.node_id = 8;
    ok(v2_node_identity(&c) != id, "the node's number counts");

    c.node_id = 7;
    c.api_key = l;
    ok(v2_node_identity(&c) != id, "the key counts");

    c.api_key = k;
    c.api_host = d;
    ok(v2_node_identity(&c) != id, "the host counts");
    ok(v2_panel_identity(&c) != 0, "never 0");

    c.api_host = f;
    is_str(v2_node_dir(&c), "/var/lib/x", "a folder");
    c.api_host = g;
    is_str(v2_node_dir(&c), "/var/lib/x", "written as a URL");
}


int
main(void)
{
    test_text();
    test_clean();
    test_message();
    test_identity();
    done_testing();
}
