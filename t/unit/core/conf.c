/* The configuration: forms of the file, values, refusals, messages.
 *
 * needs: src/core/v2_conf.c src/core/v2_conf_docs.c src/core/v2_conf_dump.c
 * needs: src/core/v2_conf_json.c src/core/v2_conf_keys.c
 * needs: src/core/v2_conf_node.c src/core/v2_conf_text.c
 * needs: src/core/v2_conf_tree.c
 * needs: src/core/v2_conf_value.c src/core/v2_conf_walk.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_addr.c
 * needs: src/core/v2_core.c
 * libs: -ljansson */

#include "conf_test.h"

#include "v2_conf_json.h"


static void
test_relax(void)
{
    char    text[128];
    size_t  i;

    static const char *const cases[][2] = {
        { "{\"a\":1,}", "{\"a\":1 }" },
        { "[1,2, ]", "[1,2  ]" },
        { "[1,// x\n]", "[1     \n]" },
        { "[1 /* , */ ,\n/* y */ ]", "[1          \n        ]" },
        { "{\"a\":\"//,}\"}", "{\"a\":\"//,}\"}" },
        { "{\"a\":\"\\\",}\",}", "{\"a\":\"\\\",}\" }" },
        { "[,]", "[,]" },
        { "[1,,]", "[1,,]" },
        { "{,}", "{,}" },
        { "/**/1", "    1" },
        { "1 // end", "1       " },
        { "1/", "1/" },
    };

    for (i = 0; i < v2_nelems(cases); i++) {
        strcpy(text, cases[i][0]);
        is_int(v2_conf_relax(text, strlen(text)), 0, "relaxed: %zu", i);
        is_str(text, cases[i][1], "relaxed text: %zu", i);
    }

    strcpy(text, "{\n\n/* x\n");
    is_int(v2_conf_relax(text, strlen(text)), 3, "line of an open comment");
}


static void
test_defaults(void)
{
    v2_conf_t       *c;
    v2_node_conf_t  *n;

    c = parse_top("");
    n = c->nodes;

    is_str(log_read(), "", "minimal: nothing to say");
    is_str(c->file, NAME, "file");
    is_int(c->log_level, V2_LOG_INFO, "Log.Level");
    is_str(c->log_output, "", "Log.Output");
    is_str(c->access_path, "", "AccessPath");
    is_str(c->user, "", "User");
    is_int(c->workers, 0, "Workers");
    is_str(c->worker_affinity, "off", "WorkerAffinity");
    is_int(c->engine, V2_ENGINE_AUTO, "Engine");
    is_int(c->daemon, V2_DAEMON_ON, "Daemon");
    is_int(c->shutdown_timeout_s, 0, "WorkerShutdownTimeout");
    is_int(c->worker_memory, 256 << 20, "WorkerMemory");
    is_int(c->push_unknown, V2_UNKNOWN_ASIDE, "PushUnknown");
    is_int(c->push_server_error, V2_SERVERERR_OWED, "PushServerError");
    is_str(c->asset_path, "/etc/v2sp/", "AssetPath");
    is_str(c->route_path, "", "RouteConfigPath");
    is_int(c->handshake_s, 4, "handshake");
    is_int(c->idle_s, 300, "connIdle");
    is_int(c->uplink_only_s, 60, "uplinkOnly");
    is_int(c->downlink_only_s, 60, "downlinkOnly");
    is_int(c->buffer_bytes, 65536, "bufferSize");
    is_int(c->nodes_n, 1, "one node");
    is_str(n->tag, "[http://p.test/api]-:7", "tag");
    is_str(n->panel_type, "auto", "PanelType");
    is_str(n->api_host, "http://p.test/api", "ApiHost");
    is_str(n->api_key, "k", "ApiKey");
    is_int(n->node_id, 7, "NodeID");
    is_str(n->node_type, "", "NodeType");
    is_int(n->timeout_s, 30, "Timeout");
    is_str(n->listen_ip, "0.0.0.0", "ListenIP");
    is_str(n->send_ip, "0.0.0.0", "SendIP");
    is_int(n->cert_mode, V2_CERT_NONE, "CertMode");
    is_int(n->reject_unknown_sni, 0, "RejectUnknownSni");
    ok(n->refused == NULL, "not refused");

    v2_conf_free(c);
}


static void
test_forms(void)
{
    v2_conf_t  *c;

    c = parse("{ \"nodes\": [ { \"APICONFIG\": { \"apihost\": \"file:/d\","
              " \"NodeId\": 3, \"Timeout\": 9 }, \"options\": {"
              " \"ListenIP\": \"::\", \"XrayOptions\": { \"DisableSniffing\":"
              " true, \"Name\": \"inner\" }, \"name\": \"outer\" },"
              " \"Timeout\": 8 } ], \"CORES\": [ { \"type\": \"Xray\","
              " \"connectionconfig\": { \"CONNIDLE\": 30 } } ] }");

    is_str(log_read(), "", "split form: nothing to say");
    is_str(c->nodes[0].api_host, "file:/d", "split form, other letters");
    is_str(c->nodes[0].panel_type, "file", "PanelType follows ApiHost");
    is_int(c->nodes[0].timeout_s, 8, "the node's own key wins");
    is_str(c->nodes[0].listen_ip, "::", "Options");
    is_int(c->nodes[0].disable_sniffing, 1, "XrayOptions within Options");
    is_str(c->nodes[0].tag, "outer", "the outer object wins");
    is_int(c->idle_s, 30, "alias ConnectionConfig");
    v2_conf_free(c);

    c = parse("{ \"Log\": [], \"Cores\": null, \"Nodes\": [ { \"ApiHost\":"
              " \"https://p.test\", \"NodeID\": \"12\", \"Timeout\": 0,"
              " \"ApiKey\": 42, \"CertConfig\": [], \"LimitConfig\": null,"
              " \"ReportMinTraffic\": 5.0, \"DisableSniffing\": \"1\","
              " \"EnableTFO\": \"false\", \"NodeType\": \"VLESS\","
              " \"ListenIP\": \"\", \"SendIP\": \"\" } ],"
              " \"Workers\": \"2\", \"Daemon\": false,"
              " \"WorkerMemory\": \"64M\" }");

    is_str(log_read(), "", "lenient types: nothing to say");
    is_int(c->nodes[0].node_id, 12, "a number in quotes");
    is_str(c->nodes[0].api_key, "42", "a number for a text");
    is_int(c->nodes[0].timeout_s, 5, "Timeout 0 means 5");
    is_int(c->nodes[0].report_min_kb, 5, "a whole real number");
    is_int(c->nodes[0].disable_sniffing, 1, "true in quotes");
    is_str(c->nodes[0].node_type, "vless", "NodeType in lower case");
    is_str(c->nodes[0].listen_ip, "0.0.0.0", "empty ListenIP");
    is_str(c->nodes[0].send_ip, "", "empty SendIP");
    is_str(c->nodes[0].tag, "[https://p.test]-vless:12", "tag with type");
    is_int(c->workers, 2, "Workers in quotes");
    is_int(c->daemon, V2_DAEMON_OFF, "Daemon false");
    is_int(c->worker_memory, 64 << 20, "64M");
    v2_conf_free(c);
}


/* A file with every key as the Go program ships it, less what it refuses. */
static void
test_full(void)
{
    v2_conf_t       *c;
    v2_node_conf_t  *n;

    static const char text[] =
    "{\n  // process log\n  \"Log\": {\"Level\": \"info\", \"Output\": \"\"},\n"
    "  \"Cores\": [{\n    \"Type\": \"xray\", \"Name\": \"main\", /* name */\n"
    "    \"Log\": {\"Level\": \"warning\", \"AccessPath\": \"none\","
    " \"ErrorPath\": \"\"},\n    \"AssetPath\": \"/etc/v2sp/\",\n"
    "    \"RouteConfigPath\": \"route.json\", \"DnsConfigPath\":"
    " \"/etc/v2sp/dns.json\",\n    \"OutboundConfigPath\": \"./out.json\",\n"
    "    \"XrayConnectionConfig\": {\"handshake\": 5, \"connIdle\": 30,"
    " \"uplinkOnly\": 2, \"downlinkOnly\": 4, \"bufferSize\": 32},\n  },],\n"
    "  \"Nodes\": [{\n    \"Name\": \"\", \"Core\": \"xray\", \"CoreName\":"
    " \"main\",\n    \"ApiHost\": \"http://127.0.0.1:18080/api/v2sp\","
    " \"ApiSendIP\": \"127.0.0.1\", \"ApiKey\": \"test-token\",\n"
    "    \"NodeID\": 1, \"NodeType\": \"\", \"Timeout\": 30,"
    " \"RuleListPath\": \"\",\n    \"ListenIP\": \"::\", \"SendIP\":"
    " \"192.0.2.1\", \"DeviceOnlineMinTraffic\": 200, \"ReportMinTraffic\":"
    " 3,\n    \"EnableProxyProtocol\": false, \"EnableTFO\": false,"
    " \"EnableUot\": false,\n    \"DisableIVCheck\": false, \"EnableDNS\":"
    " false, \"DNSType\": \"AsIs\",\n    \"EnableFallback\": false,\n"
    "    \"FallBackConfigs\": [{\"SNI\": \"\", \"Alpn\": \"h2\", \"Path\":"
    " \"\", \"Dest\": \"127.0.0.1:8081\", \"ProxyProtocolVer\": 1},],\n"
    "    \"LimitConfig\": {\"EnableRealtime\": false, \"SpeedLimit\": 0,"
    " \"DeviceLimit\": 0, \"IPLimit\": 0, \"ConnLimit\": 0,"
    " \"EnableIpRecorder\": false, \"IpRecorderConfig\": {\"Type\":"
    " \"Redis\", \"Periodic\": 60, \"EnableIpSync\": false,"
    " \"RecorderConfig\": {\"Url\": \"http://127.0.0.1/ips\", \"Token\":"
    " \"reco-secret\", \"Timeout\": 5}, \"RedisConfig\": {\"Address\":"
    " \"127.0.0.1:6379\", \"Password\": \"redis-secret\", \"Db\": 0,"
    " \"Expiry\": 60}}, \"EnableDynamicSpeedLimit\": false,"
    " \"DynamicSpeedLimitConfig\": {\"Periodic\": 60, \"Traffic\":"
    " 1073741824, \"SpeedLimit\": 20, \"ExpireTime\": 10}},\n"
    "    \"CertConfig\": {\"CertMode\": \"dns\", \"RejectUnknownSni\": true,"
    " \"CertDomain\": \"node.example.test\", \"CertFile\":"
    " \"cert/{domain}.crt\", \"KeyFile\": \"/k/{email}/{domain}{domain}\",\n"
    "      \"Provider\": \"cloudflare\", \"Email\": \"ops@example.test\","
    " \"DNSEnv\": {\"CF_TOKEN\": \"dns-secret\", \"N\": 5}},\n  },],\n}\n";

    c = parse(text);
    n = c->nodes;

    is_str(log_read(), "", "full: nothing to say");
    ok(n->refused == NULL, "full: not refused");
    is_str(c->access_path, "none", "\"none\" is no path");
    is_str(c->route_path, "/conf/route.json", "relative path");
    is_str(c->outbound_path, "/conf/out.json", "relative path with ./");
    is_str(c->dns_path, "/etc/v2sp/dns.json", "absolute path");
    is_int(c->handshake_s, 5, "handshake");
    is_int(c->idle_s, 30, "connIdle");
    is_int(c->uplink_only_s, 2, "uplinkOnly");
    is_int(c->downlink_only_s, 4, "downlinkOnly");
    is_int(c->buffer_bytes, 32768, "bufferSize");
    is_str(n->api_send_ip, "127.0.0.1", "ApiSendIP");
    is_str(n->send_ip, "192.0.2.1", "SendIP");
    is_int(n->device_online_min_kb, 200, "DeviceOnlineMinTraffic");
    is_int(n->report_min_kb, 3, "ReportMinTraffic");
    is_int(n->cert_mode, V2_CERT_DNS, "CertMode");
    is_int(n->reject_unknown_sni, 1, "RejectUnknownSni");
    is_str(n->cert_file, "/conf/cert/node.example.test.crt", "{domain}");
    is_str(n->key_file,
           "/k/ops@example.test/node.example.testnode.example.test",
           "{email}, and {domain} twice");

    v2_conf_free(c);
}


static void
test_process_refused(void)
{
    size_t      i;
    v2_conf_t  *c;

    static const say_t cases[] = {
        { "\"Engine\": \"kqueue\"",
          "\"Engine\" in /conf/test.json:1 is \"kqueue\", allowed: auto, "
          "io_uring, epoll" },
        { "\"Workers\": 65", "\"Workers\" in /conf/test.json:1 is 65, "
          "allowed: 0..64" },
        { "\"Workers\": -1", "is -1, allowed: 0..64" },
        { "\"Workers\": 1.5", "is 1.5, allowed: 0..64" },
        { "\"Workers\": \"two\"", "is \"two\", allowed: 0..64" },
        { "\"Workers\": []", "is [], allowed: 0..64" },
        { "\"WorkerMemory\": \"1m\"", "allowed: 16m..64g" },
        { "\"WorkerMemory\": \"99999999999999999999g\"", "allowed: 16m" },
        { "\"WorkerAffinity\": \"0101\"", "allowed: off, auto" },
        { "\"PushUnknown\": \"resend\"",
          "is \"resend\", which is not built yet; allowed: aside" },
        { "\"PushServerError\": \"aside\"", "which is not built yet" },
        { "\"PprofPort\": 6060",
          "is 6060, which is not built yet; remove it or set it to 0" },
        { "\"User\": \"a\\nb\"", "allowed: a text without control" },
        { "\"Log\": { \"Level\": \"loud\" }", "\"Log.Level\" in" },
        { "\"Log\": 5", "\"Log\" in /conf/test.json:1 is not an object" },
        { "\"Cores\": {}", "\"Cores\" in /conf/test.json:1 is not an array" },
        { "\"Cores\": [5]", "\"Cores[0]\" in /conf/test.json:1 is not" },
        { "\"Cores\": [{ \"Type\": \"sing\" }]",
          "\"Cores[0].Type\" in /conf/test.json:1 is \"sing\", which is not" },
        { "\"Cores\": [{ \"Type\": \"x\" }]", "allowed: xray" },
        { "\"Cores\": [{}, { \"Type\": \"sing\" }]", "\"Cores[1].Type\"" },
        { "\"Cores\": [{ \"InboundConfigPath\": \"in.json\" }]",
          "is \"in.json\", which is not built yet; remove it or set it to "
          "\"\"" },
        { "\"Cores\": [{ \"XrayConnectionConfig\": { \"connIdle\": 0 } }]",
          "\"Cores[0].XrayConnectionConfig.connIdle\" in" },
    };

    for (i = 0; i < v2_nelems(cases); i++) {
        c = parse_top(cases[i].member);
        ok(c == NULL, "stops the start: %s", cases[i].member);
        ok(logged(cases[i].line) && logged("[emerg]"), "says so");
        v2_conf_free(c);
    }
}


static void
test_node_refused(void)
{
    size_t      i;
    v2_conf_t  *c;

    static const say_t cases[] = {
        { "\"EnableProxyProtocol\": true", "\"Nodes[0].EnableProxyProtocol\" "
          "in /conf/test.json:1 is true, which is not built yet; remove it "
          "or set it to false" },
        { "\"EnableTFO\": 1", "\"Nodes[0].EnableTFO\"" },
        { "\"EnableUot\": true", "\"Nodes[0].EnableUot\"" },
        { "\"EnableDNS\": true", "\"Nodes[0].EnableDNS\"" },
        { "\"DNSType\": \"UseIPv4\"", "\"Nodes[0].DNSType\"" },
        { "\"DNSType\": \"Random\"", "is \"Random\", allowed: AsIs" },
        { "\"EnableFallback\": true", "\"Nodes[0].EnableFallback\"" },
        { "\"FallBackConfigs\": 5", "allowed: an array of objects" },
        { "\"FallBackConfigs\": [{ \"ProxyProtocolVer\": 3 }]",
          "\"Nodes[0].FallBackConfigs[0].ProxyProtocolVer\"" },
        { "\"LimitConfig\": { \"SpeedLimit\": 10 }", "LimitConfig.SpeedLimit" },
        { "\"LimitConfig\": { \"DeviceLimit\": 1 }", "DeviceLimit" },
        { "\"LimitConfig\": { \"IPLimit\": 1 }", "IPLimit" },
        { "\"LimitConfig\": { \"ConnLimit\": 1 }", "ConnLimit" },
        { "\"LimitConfig\": { \"EnableRealtime\": true }", "EnableRealtime" },
        { "\"LimitConfig\": { \"EnableIpRecorder\": true }", "IpRecorder" },
        { "\"LimitConfig\": { \"EnableDynamicSpeedLimit\": true }",
          "EnableDynamicSpeedLimit" },
        { "\"LimitConfig\": { \"AutoSpeedLimitConfig\": { \"Limit\": 5 } }",
          "AutoSpeedLimitConfig.Limit" },
        { "\"AutoSpeedLimitConfig\": { \"Limit\": 5 }", "not built yet" },
        { "\"RuleListPath\": \"rules\"", "\"Nodes[0].RuleListPath\"" },
        { "\"NodeType\": \"vmess\"", "is \"vmess\", which is not built yet" },
        { "\"NodeType\": \"v2ray\"", "is \"v2ray\", which is not built yet" },
        { "\"NodeType\": \"trojan\"", "not built yet" },
        { "\"NodeType\": \"Shadowsocks\"", "not built yet" },
        { "\"NodeType\": \"vles\"", "is \"vles\", allowed: \"\", vless" },
        { "\"Core\": \"sing\"", "not built yet" },
        { "\"CoreName\": \"other\"", "no core in Cores has that name" },
        { "\"SendIP\": \"origin\"", "not built yet" },
        { "\"SendIP\": \"host.test\"", "allowed: an IPv4 or IPv6 address" },
        { "\"ListenIP\": \"1.2.3\"", "allowed: an IPv4 or IPv6 address" },
        { "\"ApiSendIP\": \"x\"", "allowed: an IPv4 or IPv6 address" },
        { "\"Timeout\": 301", "allowed: 0..300" },
        { "\"PanelType\": \"marzban\"", "allowed: auto, v2sp, uniproxy, file" },
        { "\"PanelType\": \"file\"", "does not go with the ApiHost" },
        { "\"ApiHost\": \"p.test\"", "allowed: http://..., https://..., "
          "file:DIR" },
        { "\"ApiHost\": \"file:/d\", \"PanelType\": \"v2sp\"",
          "does not go with" },
        { "\"NodeID\": 0", "is 0, allowed: 1..4294967295" },
        { "\"CertConfig\": { \"CertMode\": \"content\" }", "not built yet" },
        { "\"CertConfig\": { \"CertMode\": \"tls\" }", "not built yet" },
        { "\"CertConfig\": { \"CertMode\": \"acme\" }",
          "allowed: none, file, self, http, dns" },
        { "\"CertConfig\": { \"CertMode\": \"file\" }", "no CertFile" },
        { "\"CertConfig\": { \"CertMode\": \"http\", \"CertFile\": \"c\" }",
          "no KeyFile" },
        { "\"CertConfig\": { \"DNSEnv\": [1] }", "an object of texts" },
        { "\"CertConfig\": 1", "is not an object" },
        { "\"Options\": [1]", "is an array, allowed: {...}" },
        { "\"Include\": \"https://h.test/n.json\"",
          "\"Nodes[0].Include\" in /conf/test.json:1 is "
          "\"https://h.test/n.json\": a URL is not read" },
        { "\"Include\": \"/nonexistent/n.json\"",
          "open() \"/nonexistent/n.json\" failed (2: " },
    };

    for (i = 0; i < v2_nelems(cases); i++) {
        c = parse_node(cases[i].member);
        ok(c != NULL && c->nodes[0].refused != NULL
           && c->nodes[0].tag != NULL, "refused: %s", cases[i].member);
        ok(logged(cases[i].line) && logged("[error]"), "says so");
        v2_conf_free(c);
    }
}


static void
test_accepted(void)
{
    size_t      i;
    v2_conf_t  *c;

    static const say_t cases[] = {
        { "\"EnableXTLS\": true", "has no effect" },
        { "\"EnableVless\": true", "has no effect" },
        { "\"DisableIVCheck\": true", "has no effect" },
        { "\"EnableSniff\": true", "has no effect" },
        { "\"SniffOverrideDestination\": true", "has no effect" },
        { "\"DomainStrategy\": \"prefer_ipv4\"", "has no effect" },
        { "\"MultiplexConfig\": { \"Enable\": true }", "has no effect" },
        { "\"RetryCount\": 3", "has no effect" },
        { "\"RetryCount\": 1", NULL },
        { "\"DisableSniffing\": true", NULL },
        { "\"EnableTFO\": false, \"EnableUot\": 0", NULL },
        { "\"CertConfig\": { \"CertMode\": \"self\" }", NULL },
        { "\"CertConfig\": { \"CertMode\": \"\" }", NULL },
        { "\"CertConfig\": { \"CertMode\": \"dns\", \"CertFile\": \"c\", "
          "\"KeyFile\": \"k\", \"Provider\": \"x\", \"DNSEnv\": { \"A\": "
          "\"two\\nlines\" } }", NULL },
        { "\"FallBackConfigs\": [{ \"Dest\": 80 }]", NULL },
        { "\"FallBackConfigs\": null, \"LimitConfig\": []", NULL },
        { "\"Core\": \"XRAY\", \"DNSType\": \"asis\"", NULL },
        { "\"ListenIP\": \"[::1]\"", NULL },
        { "\"Include\": \"\"", NULL },
        { "\"ListnIP\": \"::\"", "\"Nodes[0].ListnIP\" in /conf/test.json:1 is "
          "not known, and is ignored; nearest is \"Nodes[].ListenIP\"" },
        { "\"LimitConfig\": { \"SpedLimit\": 1 }",
          "nearest is \"Nodes[].LimitConfig.SpeedLimit\"" },
        { "\"Options\": { \"CertMode\": \"self\" }", "\"Nodes[0].Options."
          "CertMode\" in /conf/test.json:1 is not known, and is ignored; "
          "nearest is \"Nodes[].CertConfig.CertMode\"" },
        { "\"Wholly\": { \"Other\": [1, 2] }", "\"Nodes[0].Wholly\" in "
          "/conf/test.json:1 is not known, and is ignored\n" },
        { "\"Refused\": \"no\"", "\"Nodes[0].Refused\" in /conf/test.json:1 "
          "is not known" },
        { "\"Timeout\": 5, \"timeout\": 6", "the last one holds" },
        { "\"Timeout\": 5, \"Timeout\": 6", "the last one holds" },
    };

    for (i = 0; i < v2_nelems(cases); i++) {
        c = parse_node(cases[i].member);
        ok(c != NULL && c->nodes[0].refused == NULL, "accepted: %s",
           cases[i].member);

        if (cases[i].line == NULL) {
            is_str(log_read(), "", "silently");

        } else {
            ok(logged(cases[i].line) && logged("[warn]"), "with a warning");
        }

        v2_conf_free(c);
    }

    c = parse_top("\"Nodes[].SendIP\": \"::\", \"Log.Level\": \"debug\"");
    ok(c != NULL && c->log_level == V2_LOG_INFO
       && logged("\"Nodes[].SendIP\" in /conf/test.json:1 is not known")
       && logged("\"Log.Level\" in /conf/test.json:1 is not known"),
       "a key that looks like a path");
    v2_conf_free(c);

    c = parse_top("\"Cores\": [{ \"Log\": { \"ErrorPath\": \"e.log\", "
                  "\"Level\": \"debug\" } }]");
    ok(c != NULL && logged("\"Cores[0].Log.ErrorPath\" in /conf/test.json:1 "
                           "has no effect"), "ErrorPath of a core");
    v2_conf_free(c);
}


static void
test_nodes(void)
{
    v2_conf_t  *c;

    c = parse("{ \"Nodes\": [ { " NODE " }, { " NODE " },\n { " NODE
              ", \"NodeID\": 8, \"Name\": \"a\" },\n { " NODE ", \"NodeID\": 9,"
              " \"Name\": \"a\" },\n { " NODE ", \"NodeID\": 10 }, 5, {} ] }");

    is_int(c->nodes_n, 7, "all nodes keep their slots");
    ok(c->nodes[0].refused == NULL, "the first of two is kept");
    ok(c->nodes[1].refused != NULL && logged("\"Nodes[1]\" in /conf/test."
       "json:1 has the ApiHost, ApiKey and NodeID of Nodes[0]"),
       "the same node twice");
    ok(c->nodes[3].refused != NULL && logged("\"Nodes[3]\" in /conf/test."
       "json:3 has the tag \"a\" of Nodes[2]"), "the same name twice");
    ok(c->nodes[4].refused == NULL, "a node behind them is not touched");
    ok(c->nodes[5].refused != NULL && logged("\"Nodes[5]\" in /conf/test."
       "json:4 is not an object"), "a node that is no object");
    ok(c->nodes[6].refused != NULL && logged("has no NodeID"), "no NodeID");
    v2_conf_free(c);

    ok(parse("{ \"Nodes\": [] }") == NULL && logged("\"Nodes\" in /conf/test."
       "json is empty"), "no node");
    ok(parse("{}") == NULL && logged("is empty"), "no Nodes");
    ok(parse("{ \"Nodes\": {} }") == NULL && logged("is not an array"),
       "Nodes is no array");

    c = parse("{ \"Cores\": [{ \"Name\": \"one\", \"AssetPath\": \"/a\" },"
              " { \"Name\": \"two\", \"AssetPath\": \"/b\" }], \"Nodes\": [{ "
              NODE ", \"CoreName\": \"two\" }] }");
    ok(c != NULL && c->nodes[0].refused == NULL, "the second core");
    is_str(c->asset_path, "/a", "the first core holds");
    ok(logged("\"Cores[1]\" in /conf/test.json:1 differs from the first core "
              "in \"AssetPath\""), "a core that differs");
    v2_conf_free(c);
}


static void
test_many_nodes(void)
{
    char       *text;
    FILE       *f;
    size_t      i, len;
    v2_conf_t  *c;

    f = open_memstream(&text, &len);
    fputs("{ \"Nodes\": [", f);

    for (i = 1; i <= 256; i++) {
        fprintf(f, "{ \"ApiHost\": \"file:d\", \"NodeID\": %zu },\n", i);
    }

    fputs("] }", f);
    fflush(f);

    c = parse(text);
    is_int(c->nodes_n, 256, "256 nodes");
    is_str(c->nodes[255].api_host, "file:/conf/d", "folder of a file panel");
    v2_conf_free(c);

    fseek(f, -3, SEEK_CUR);
    fputs("{} ] }", f);
    fclose(f);
    ok(parse(text) == NULL && logged("has 257 entries, allowed: at most 256"),
       "257 nodes");
    free(text);
}


static void
test_text(void)
{
    v2_conf_t  *c;

    ok(parse("{ \"Nodes\": [\n  // x\n /* y\n */ { \"NodeID\" 1 } ] }") == NULL
       && logged("/conf/test.json:4: "), "line of a fault behind comments");
    ok(parse("[]") == NULL && logged("/conf/test.json:1: the configuration is "
       "not an object"), "not an object");
    ok(parse("") == NULL && logged("/conf/test.json:1: "), "empty");
    ok(parse("{ /* ") == NULL && logged(":1: the comment is not closed"),
       "open comment");
    log_start();
    ok(v2_conf_parse("{\"a\":0\0}", 8, NAME, NULL, 0) == NULL
       && logged("the text holds a zero byte"), "a zero byte");
    ok(parse("{ \"a\": \"\xff\" }") == NULL && logged("[emerg]"), "not UTF-8");

    c = parse("\xef\xbb\xbf{ \"Nodes\": [{ " NODE " }] }");
    ok(c != NULL && logged("the byte order mark is ignored"), "BOM");
    v2_conf_free(c);

    c = parse("{\n\"Nodes\": [{ " NODE ",\n // c\n \"Options\": {\n"
              "\"Timeout\": \"abc\" } }] }");
    ok(c != NULL && logged("\"Nodes[0].Options.Timeout\" in /conf/test.json:5 "
       "is \"abc\", allowed: 0..300"), "line of a key");
    v2_conf_free(c);

    c = parse("{ \"Nodes\": [{ " NODE ", \"ApiKey\": [\"hidden\"] }] }");
    ok(c != NULL && strstr(log_read(), "hidden") == NULL
       && logged("is ***"), "secrets stay out of the log");
    v2_conf_free(c);

    ok(v2_conf_load("/nonexistent/c.json", NULL) == NULL
       && logged("open() \"/nonexistent/c.json\" failed (2: "), "no file");
    ok(v2_conf_load("/", NULL) == NULL
       && logged("\"/\" is not a regular file"), "a folder");
}


static void
write_file(const char *dir, const char *name, const char *text)
{
    char   path[256];
    FILE  *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}


static void
test_include(void)
{
    size_t      i;
    char        dir[] = "/tmp/v2conf.XXXXXX", path[256], want[256];
    v2_conf_t  *c;

    static const char *const names[] = { "config.json", "node3.json",
                                         "loop.json", "list.json" };

    if (mkdtemp(dir) == NULL) {
        fail("mkdtemp()");
        return;
    }

    write_file(dir, "config.json", "{ \"Nodes\": [ { \"Include\": "
               "\"node3.json\" },\n { \"include\": \"loop.json\" },\n"
               "{ \"Include\": \"list.json\" },\n{ \"Include\": 5 },\n"
               "{ \"Include\": \"node3.json\", \"NodeID\": 9 } ] }");
    write_file(dir, "node3.json", "{ // one\n\"ApiConfig\": { \"ApiHost\": "
               "\"file:panel\",\n\"NodeID\": 3, }, \"Bad\": 1 }");
    write_file(dir, "loop.json", "{ \"Include\": \"loop.json\" }");
    write_file(dir, "list.json", "[ {} ]");

    snprintf(path, sizeof(path), "%s/config.json", dir);
    log_start();
    c = v2_conf_load(path, NULL);

    ok(c != NULL && c->nodes_n == 5, "includes");
    ok(c->nodes[0].refused == NULL, "an included node");
    is_int(c->nodes[0].node_id, 3, "its NodeID");
    snprintf(want, sizeof(want), "file:%s/panel", dir);
    is_str(c->nodes[0].api_host, want, "its folder");
    snprintf(want, sizeof(want), "\"Nodes[].Bad\" in %s/node3.json:3 is not",
             dir);
    ok(logged(want), "messages name the included file");
    ok(c->nodes[1].refused != NULL && logged("cannot include another"),
       "no include in an included file");
    ok(c->nodes[2].refused != NULL && logged("is not one object"),
       "an included array");
    ok(c->nodes[3].refused != NULL && logged("allowed: a file name"),
       "Include is no text");
    ok(c->nodes[4].refused != NULL && c->nodes[4].node_id == 3
       && logged("stands beside other keys"), "keys beside Include");
    v2_conf_free(c);

    for (i = 0; i < v2_nelems(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void) unlink(path);
    }

    (void) rmdir(dir);
}


static void
test_overrides(void)
{
    size_t      i;
    v2_conf_t  *c;

    static const char text[] = "{ \"Workers\": 1, \"Nodes\": [{ " NODE " }] }";

    static const say_t cases[] = {
        { "Workers=99", "\"Workers\" of option -g is \"99\", allowed: 0..64" },
        { "Workers", "\"Workers\" of option -g has no value" },
        { "Workrs=1", "is not a key of the top level, nearest is Workers" },
        { "Nodes[].Timeout=1", "is not a key of the top level" },
        { "Log=1", "is not a key of the top level" },
    };

    log_start();
    c = v2_conf_parse(text, strlen(text), NAME, " Workers = 3;engine=EPOLL; "
                      "Daemon=off; User=\"a;b\"; Log.Level=error;", 1);
    is_str(log_read(), "", "-g: nothing to say");
    is_int(c->workers, 3, "-g wins");
    is_int(c->engine, V2_ENGINE_EPOLL, "-g: Engine");
    is_int(c->daemon, V2_DAEMON_OFF, "-g: Daemon");
    is_str(c->user, "a;b", "-g: quotes");
    is_int(c->log_level, V2_LOG_ERR, "-g: Log.Level");
    v2_conf_free(c);

    for (i = 0; i < v2_nelems(cases); i++) {
        log_start();
        c = v2_conf_parse(text, strlen(text), NAME, cases[i].member, 1);
        ok(c == NULL && logged(cases[i].line), "-g '%s'", cases[i].member);
        v2_conf_free(c);
    }
}


int
main(void)
{
    log_open();

    test_relax();
    test_defaults();
    test_forms();
    test_full();
    test_process_refused();
    test_node_refused();
    test_accepted();
    test_nodes();
    test_many_nodes();
    test_text();
    test_include();
    test_overrides();

    return done_testing();
}
