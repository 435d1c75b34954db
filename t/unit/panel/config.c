/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/panel/v2_panel_json.c
 * needs: src/panel/v2_panel_text.c */
/* libs: -ljansson -lm */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "../tap.h"
#include "codec.h"
#include "../../../src/panel/v2_panel_config.c"

static v2_node_conf_t      conf;
static v2_config_answer_t  a;
static char                no_type[] = "";
static char                vless[] = "vless", trojan[] = "trojan";


static v2_int_t
answer(const char *body)
{
    return v2_answer_config(body, strlen(body), &conf, &a);
}


static void
test_plain(void)
{
    static const char  body[] =
        "{\"node_type\":\"vless\",\"host\":\"node.example.test\","
        "\"server_port\":20448,\"server_name\":\"Node.example.test\","
        "\"tls\":0,\"flow\":\"\",\"network\":\"tcp\",\"network_settings\":"
        "{\"header\":{\"type\":\"none\"}},\"routes\":[],"
        "\"base_config\":{\"push_interval\":30,\"pull_interval\":45}}";

    is_int(answer(body), V2_OK, "the v2sp API's shape");
    is_str(a.spec.protocol, "vless", "protocol");
    is_str(a.spec.network, "tcp", "network");
    is_str(a.spec.server_name, "node.example.test", "name in lower case");
    is_int(a.spec.port, 20448, "port");
    is_int(a.spec.security, V2_SEC_NONE, "no TLS");
    is_int(a.spec.push_s, 30, "push interval");
    is_int(a.spec.pull_s, 45, "pull interval");
    ok(a.spec.tcp && !a.spec.udp, "tcp");
    is_str(a.warn, "", "no warning");
}


static void
test_xboard(void)
{
    static const char  body[] =
        "{\"protocol\":\"vless\",\"listen_ip\":\"0.0.0.0\",\"server_port\":"
        "20501,\"network\":\"tcp\",\"networkSettings\":null,\"tls\":1,"
        "\"flow\":null,\"decryption\":null,\"tls_settings\":{\"server_name\":"
        "\"node.example.test\",\"allow_insecure\":false,\"ech\":{\"enabled\":"
        "false,\"config\":null}},\"multiplex\":{\"enabled\":false,"
        "\"protocol\":\"yamux\",\"brutal\":{\"enabled\":false}},"
        "\"base_config\":{\"push_interval\":60,\"pull_interval\":60}}";

    is_int(answer(body), V2_OK, "Xboard's shape");
    is_int(a.spec.security, V2_SEC_TLS, "TLS");
    is_str(a.spec.server_name, "node.example.test", "its name");
    is_str(a.spec.flow, "", "a flow of null");
}


static void
test_messy(void)
{
    static const char  body[] =
        "{\"node_type\":\"VLESS\",\"server_port\":\"20530\",\"tls\":\"1\","
        "\"network\":\"TCP\",\"networkSettings\":[],\"network_settings\":null,"
        "\"flow\":null,\"tls_settings\":{\"server_name\":\"www.example.test\","
        "\"server_port\":8443,\"xver\":0},\"routes\":[{\"id\":5,\"match\":"
        "[\"x\"],\"action\":\"some_future_action\"}],\"base_config\":"
        "{\"push_interval\":\"60\",\"pull_interval\":\"30\"},"
        "\"unknown_field\":{\"deep\":[1,2,3]}}";

    is_int(answer(body), V2_OK, "PHP's types");
    is_int(a.spec.port, 20530, "a port as text");
    is_int(a.spec.security, V2_SEC_TLS, "tls as text");
    is_int(a.spec.pull_s, 30, "an interval as text");
    ok(strstr(a.warn, "some_future_action") != NULL, "the action is named");
    is_str(a.spec.protocol, "vless", "a type in capitals");
}


static void
test_intervals(void)
{
    is_int(answer("{\"node_type\":\"vless\",\"server_port\":1}"), V2_OK,
           "no base_config");
    is_int(a.spec.push_s, 60, "the default");

    (void) answer("{\"node_type\":\"vless\",\"server_port\":1,\"base_config\":"
                  "{\"push_interval\":4,\"pull_interval\":3601}}");
    is_int(a.spec.push_s, 60, "too short");
    is_int(a.spec.pull_s, 60, "too long");

    (void) answer("{\"node_type\":\"vless\",\"server_port\":1,\"base_config\":"
                  "{\"push_interval\":5,\"pull_interval\":3600}}");
    is_int(a.spec.push_s, 5, "the shortest");
    is_int(a.spec.pull_s, 3600, "the longest");

    (void) answer("{\"node_type\":\"vless\",\"server_port\":1,\"base_config\":"
                  "[]}");
    is_int(a.spec.push_s, 60, "an empty map of PHP");

    is_int(answer("{\"tls\":2,\"node_type\":\"vless\",\"server_port\":1,"
                  "\"base_config\":{\"pull_interval\":7}}"), V2_DECLINED,
           "a config that is refused");
    is_int(a.spec.pull_s, 7, "has intervals all the same");
}


static void
test_declined(void)
{
    size_t  i;

    static const struct {
        const char  *body, *names;
    } t[] = {
        { "\"tls\":2", "REALITY" },
        { "\"network\":\"ws\"", "\"ws\"" },
        { "\"network\":\"grpc\"", "\"grpc\"" },
        { "\"networkSettings\":{\"header\":{\"type\":\"http\"}}", "\"http\"" },
        { "\"networkSettings\":{\"acceptProxyProtocol\":true}",
          "acceptProxyProtocol" },
        { "\"encryption\":\"mlkem768x25519plus\"", "encryption" },
        { "\"decryption\":\"mlkem768x25519plus.native.600s.abc\"",
          "decryption" },
        { "\"flow\":\"xtls-rprx-vision\"", "xtls-rprx-vision" },
        { "\"routes\":[{\"action\":\"block\",\"match\":[\"x\"]}]",
          "\"block\"" },
        { "\"routes\":[{\"action\":\"dns\",\"match\":[]}]", "\"dns\"" },
        { "\"routes\":[{\"action\":\"block_ip\"}]", "\"block_ip\"" },
        { "\"routes\":[{\"action\":\"block_port\"}]", "\"block_port\"" },
        { "\"routes\":[{\"action\":\"protocol\"}]", "\"protocol\"" },
        { "\"routes\":[{\"action\":\"route\"}]", "\"route\"" },
        { "\"routes\":[{\"action\":\"route_ip\"}]", "\"route_ip\"" },
        { "\"routes\":{\"1\":{\"action\":\"default_out\"}}",
          "\"default_out\"" },
        { "\"routes\":\"x\"", "routes" },
        { "\"custom_routes\":[{\"a\":1}]", "custom_routes" },
        { "\"tls\":3", "\"tls\"" },
        { "\"tls\":\"yes\"", "\"tls\"" }
    };
    char  body[256];

    for (i = 0; i < v2_nelems(t); i++) {
        (void) snprintf(body, sizeof(body), "{\"node_type\":\"vless\","
                        "\"server_port\":1,%s}", t[i].body);
        is_int(answer(body), V2_DECLINED, "refused: %s", t[i].body);
        ok(strstr(a.why, t[i].names) != NULL, "and named: %s", a.why);
    }
}


static void
test_harmless(void)
{
    size_t  i;

    static const char *const  t[] = {
        "\"encryption\":null", "\"encryption\":\"none\"", "\"encryption\":\"\"",
        "\"decryption\":\"none\"", "\"network\":null", "\"network\":\"raw\"",
        "\"networkSettings\":[]", "\"routes\":null", "\"routes\":{}",
        "\"networkSettings\":{\"header\":{\"type\":\"none\"}}",
        "\"networkSettings\":{\"header\":null}", "\"tls\":null",
        "\"networkSettings\":{\"acceptProxyProtocol\":false}",
        "\"custom_routes\":[]", "\"tls_settings\":[]"
    };
    char  body[256];

    for (i = 0; i < v2_nelems(t); i++) {
        (void) snprintf(body, sizeof(body), "{\"node_type\":\"vless\","
                        "\"server_port\":1,%s}", t[i]);
        is_int(answer(body), V2_OK, "taken: %s", t[i]);
        is_str(a.spec.network, "tcp", "network tcp");
    }
}


static void
test_type(void)
{
    static const char  fork[] = "{\"server_port\":20521,\"host\":\"h\"}";

    is_int(answer(fork), V2_DECLINED, "an answer without a type");
    ok(strstr(a.why, "NodeType") != NULL, "says what to set");

    conf.node_type = vless;
    is_int(answer(fork), V2_OK, "and is enough with NodeType");
    is_str(a.spec.protocol, "vless", "which is taken");

    is_int(answer("{\"node_type\":\"trojan\",\"server_port\":1}"), V2_OK,
           "NodeType wins");
    ok(a.warn[0] != '\0', "with a warning");

    conf.node_type = trojan;
    is_int(answer(fork), V2_DECLINED, "a protocol that is not built");
    ok(strstr(a.why, "\"trojan\"") != NULL, "is named");
    conf.node_type = no_type;
}


static void
test_no_answer(void)
{
    size_t  i;

    static const char *const  t[] = {
        "", "null", "[]", "{}", "{\"server_port\":null}", "{\"a\":1",
        "{\"status\":\"fail\",\"message\":\"token is error\"}",
        "{\"status\":\"fail\",\"server_port\":1,\"node_type\":\"vless\"}",
        "<html><head><title>x</title></head></html>",
        "{\"node_type\":\"vless\",\"server_port\":1}x",
        "{\"message\":\"Server does not exist\",\"data\":null}"
    };

    for (i = 0; i < v2_nelems(t); i++) {
        is_int(answer(t[i]), V2_ERROR, "no config: t[%zu]", i);
        ok(a.why[0] != '\0', "it is said why");
    }

    is_int(answer("{\"node_type\":\"vless\",\"server_port\":0}"), V2_DECLINED,
           "port 0");
    is_int(answer("{\"node_type\":\"vless\",\"server_port\":65536}"),
           V2_DECLINED, "port 65536");
}


int
main(void)
{
    conf.node_type = no_type;

    test_plain();
    test_xboard();
    test_messy();
    test_intervals();
    test_declined();
    test_harmless();
    test_type();
    test_no_answer();
    done_testing();
}
