/* The table of keys of config.json. A key exists by its row: the parser, the
 * defaults, range errors, aliases, `-T`, the manual and the commented example
 * read nothing else.
 *
 * Invariants (t/unit/core/conf.c)
 *  1. Rows with a common beginning of their paths stand together, so that the
 *     table can be printed as nested JSON in one pass.
 *  2. Every container ("Log", "Nodes[].CertConfig") has a row before its keys.
 *  3. Every row has a text; every default can be read as its type.
 *  4. The words of an ENUM row stand in the order of the C enum, those not
 *     built yet (column max) behind those that work (column min). */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf_keys.h"

#include "v2_ring.h"

#ifndef V2_PID_PATH
#define V2_PID_PATH         "/run/v2sp.pid"
#endif

#ifndef V2_LOG_PATH
#define V2_LOG_PATH         "/var/log/v2sp/error.log"
#endif

#ifndef V2_STATE_PATH
#define V2_STATE_PATH       "/var/lib/v2sp"
#endif

#define V2_NEAR_MAX         64          /* bytes of a key that are compared */

#define V2_TOP(field, ctype)    V2_FIELD(v2_conf_t, field, ctype)
#define V2_NODE(field, ctype)   V2_FIELD(v2_node_conf_t, field, ctype)
#define V2_NOWHERE              V2_CONF_NOFIELD

#define V2_LEVELS           "debug|info|notice|warning|warn|error|none"
#define V2_STRATEGIES                                                        \
    "UseIP|UseIPv4|UseIPv6|UseIPv4v6|UseIPv6v4|ForceIP|ForceIPv4|ForceIPv6"  \
    "|ForceIPv4v6|ForceIPv6v4"
#define V2_U32              "4294967295"
#define V2_U64              "9223372036854775807"

_Static_assert(V2_ENGINE_AUTO == 0 && V2_ENGINE_IO_URING == 1
               && V2_ENGINE_EPOLL == 2, "words of Engine");
_Static_assert(V2_CERT_NONE == 0 && V2_CERT_FILE == 1 && V2_CERT_SELF == 2
               && V2_CERT_HTTP == 3 && V2_CERT_DNS == 4, "words of CertMode");
_Static_assert(V2_DAEMON_ON == 0 && V2_DAEMON_OFF == 1, "words of Daemon");
_Static_assert(V2_UNKNOWN_ASIDE == 0 && V2_UNKNOWN_RESEND == 1
               && V2_SERVERERR_OWED == 0 && V2_SERVERERR_ASIDE == 1,
               "words of PushUnknown and PushServerError");

static unsigned v2_conf_distance(const char *a, const char *b);
static size_t v2_conf_head(const char *path);


const v2_conf_row_t v2_conf_rows[] = {

    /* --- the process --- */

    { "User", V2_CONF_TEXT, V2_TOP(user, char *), "", NULL, NULL,
      V2_CONF_WORKERS, NULL,
      "Workers and the panel process run as this user when v2sp was started "
      "as root. Empty: v2sp if there is such a user, otherwise nobody." },

    { "Group", V2_CONF_TEXT, V2_TOP(group, char *), "", NULL, NULL,
      V2_CONF_WORKERS, NULL,
      "Their group. Empty: the group of the user." },

    { "Workers", V2_CONF_UINT, V2_TOP(workers, uint32_t), "0", "0", "64",
      V2_CONF_WORKERS, NULL,
      "Number of worker processes. 0 is one for each CPU that the affinity "
      "mask of v2sp allows." },

    { "WorkerAffinity", V2_CONF_WORD, V2_TOP(worker_affinity, char *), "off",
      "off|auto", NULL, V2_CONF_WORKERS, NULL,
      "How workers are bound to CPUs. \"off\" leaves it to the kernel, "
      "\"auto\" binds each worker to a CPU of its own when there is one for "
      "each." },

    { "Engine", V2_CONF_ENUM, V2_TOP(engine, uint32_t), "auto",
      "auto|io_uring|epoll", NULL, V2_CONF_WORKERS, NULL,
      "What waits for the network. \"auto\" takes io_uring where the kernel "
      "allows it, otherwise epoll." },

    { "Daemon", V2_CONF_ENUM, V2_TOP(daemon, uint32_t), "on", "on|off", NULL,
      V2_CONF_START, NULL,
      "Whether v2sp goes to the background. \"v2sp run\" never does." },

    { "PidFile", V2_CONF_FILE, V2_TOP(pid_file, char *), V2_PID_PATH, NULL,
      NULL, V2_CONF_START, NULL,
      "File that holds the process number of the master, which keeps it "
      "locked." },

    { "StateDir", V2_CONF_FILE, V2_TOP(state_dir, char *), V2_STATE_PATH,
      NULL, NULL, V2_CONF_START, NULL,
      "Directory of the files that v2sp makes for itself. It is created with "
      "mode 0700 and belongs to the user above. Two instances need two." },

    { "WorkerShutdownTimeout", V2_CONF_UINT,
      V2_TOP(shutdown_timeout_s, uint32_t), "0", "0", "86400", 0, NULL,
      "Seconds that a worker which was told to finish waits for its "
      "connections before it closes them. 0 is no limit." },

    { "WorkerMemory", V2_CONF_SIZE, V2_TOP(worker_memory, uint64_t), "256m",
      "16m", "64g", 0, NULL,
      "Bytes that one worker may hold for readers slower than their source. "
      "Above it the connection that has been blocked longest is closed. "
      "k, m and g are understood. A new value holds for workers that start "
      "after it." },

    { "PushUnknown", V2_CONF_ENUM, V2_TOP(push_unknown, uint32_t), "aside",
      "aside", "resend", 0, NULL,
      "What becomes of a traffic report whose answer got lost, so that the "
      "panel may have booked it. \"aside\" keeps it in a file and never sends "
      "it again, so that nothing is billed twice." },

    { "PushServerError", V2_CONF_ENUM, V2_TOP(push_server_error, uint32_t),
      "owed", "owed", "aside", 0, NULL,
      "What becomes of a traffic report that the panel answered with status "
      "500 to 503. \"owed\" sends the amounts again with the next report." },

    { "PprofPort", V2_CONF_UINT, V2_NOWHERE, "0", "0", "65535",
      V2_CONF_LATER, NULL,
      "Debug listener of v2node. There is none here." },

    { "Dumped", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_HIDDEN, NULL,
      "This text was made by v2sp from a configuration whose faults have "
      "been logged." },

    { "Log", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "The log of all processes." },

    { "Log.Level", V2_CONF_LEVEL, V2_TOP(log_level, unsigned), "info",
      V2_LEVELS, NULL, 0, NULL,
      "Lines of lesser weight are left out. \"info\" names refused and failed "
      "connections, \"notice\" only the life of v2sp itself." },

    { "Log.Output", V2_CONF_FILE, V2_TOP(log_output, char *), "", NULL, NULL,
      0, NULL,
      "File that lines are appended to. Empty: standard error, or where v2sp "
      "goes to the background " V2_LOG_PATH "." },

    /* --- cores --- */

    { "Cores", V2_CONF_ARRAY, V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "Settings that all nodes share. The first one holds; more are accepted "
      "so that nodes can name them." },

    { "Cores[].Type", V2_CONF_WORD, V2_NOWHERE, "xray", "xray|",
      "sing|hysteria2", 0, NULL,
      "Kept for the configurations of other programs. There is one core, and "
      "it goes by the name of xray." },

    { "Cores[].Name", V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, 0, NULL,
      "Name for CoreName of the nodes." },

    { "Cores[].Log", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "The access log; the lines of a core go to the log of v2sp." },

    { "Cores[].Log.Level", V2_CONF_WORD, V2_NOWHERE, "warning", V2_LEVELS "|",
      NULL, 0, NULL,
      "Accepted and not used. Log.Level holds for everything." },

    { "Cores[].Log.AccessPath", V2_CONF_FILE, V2_TOP(access_path, char *), "",
      NULL, NULL, V2_CONF_NONE, NULL,
      "File that gets one line for each finished connection. Empty: standard "
      "output. \"none\": no such lines." },

    { "Cores[].Log.ErrorPath", V2_CONF_FILE, V2_NOWHERE, "", NULL, NULL,
      V2_CONF_DEAD | V2_CONF_NONE, NULL,
      "Not used. Lines of all levels go to Log.Output." },

    { "Cores[].AssetPath", V2_CONF_FILE, V2_TOP(asset_path, char *),
      "/etc/v2sp/", NULL, NULL, 0, NULL,
      "Directory of geoip.dat and geosite.dat." },

    { "Cores[].DnsConfigPath", V2_CONF_FILE, V2_TOP(dns_path, char *), "",
      NULL, NULL, 0, NULL,
      "File with a DNS object in the format of Xray. A missing file and the "
      "one that is shipped are the same as none; another is refused for "
      "now." },

    { "Cores[].RouteConfigPath", V2_CONF_FILE, V2_TOP(route_path, char *), "",
      NULL, NULL, 0, NULL,
      "File with a routing object in the format of Xray." },

    { "Cores[].OutboundConfigPath", V2_CONF_FILE,
      V2_TOP(outbound_path, char *), "", NULL, NULL, 0, NULL,
      "File with an array of outbounds in the format of Xray. A missing file "
      "and the one that is shipped are the same as none; another is refused "
      "for now." },

    { "Cores[].InboundConfigPath", V2_CONF_FILE, V2_NOWHERE, "", NULL, NULL,
      V2_CONF_LATER, NULL,
      "File with an array of further inbounds in the format of Xray." },

    { "Cores[].XrayConnectionConfig", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL,
      NULL, 0, "Cores[].ConnectionConfig",
      "Time limits and buffers of connections." },

    { "Cores[].XrayConnectionConfig.handshake", V2_CONF_UINT,
      V2_TOP(handshake_s, uint32_t), "4", "1", "3600", 0, NULL,
      "Seconds from the accepted connection to its complete header." },

    { "Cores[].XrayConnectionConfig.connIdle", V2_CONF_UINT,
      V2_TOP(idle_s, uint32_t), "300", "1", "604800", 0, NULL,
      "Seconds after which a connection without a byte in either direction "
      "is closed. The Go program took 30 if nothing was set." },

    { "Cores[].XrayConnectionConfig.uplinkOnly", V2_CONF_UINT,
      V2_TOP(uplink_only_s, uint32_t), "60", "0", "604800", 0, NULL,
      "Seconds without a byte after which a connection is closed whose "
      "remote side has ended, so that only the upload goes on. The Go program "
      "took 2 from the end of the other side, if nothing was set." },

    { "Cores[].XrayConnectionConfig.downlinkOnly", V2_CONF_UINT,
      V2_TOP(downlink_only_s, uint32_t), "60", "0", "604800", 0, NULL,
      "Seconds without a byte after which a connection is closed whose "
      "client has ended, so that only the download goes on. The Go program "
      "took 4 from the end of the other side, if nothing was set." },

    { "Cores[].XrayConnectionConfig.bufferSize", V2_CONF_KIB,
      V2_TOP(buffer_bytes, uint32_t), "64", "1", "65536", 0, NULL,
      "KiB that may wait to be sent in one direction of a connection before "
      "its source is not read any more." },

    /* --- nodes: the panel --- */

    { "Nodes", V2_CONF_ARRAY, V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "One entry for each node of a panel; at least one. A node whose entry "
      "cannot be used does not start, and the others do." },

    { "Nodes[].Include", V2_CONF_INCLUDE, V2_NOWHERE, NULL, NULL, NULL, 0,
      NULL,
      "File with one node object, in place of what stands beside it. A "
      "relative name starts at the folder of the configuration. A URL is "
      "refused." },

    { "Nodes[].ApiConfig", V2_CONF_FLAT, V2_NOWHERE, NULL, NULL, NULL, 0,
      NULL,
      "Object in which keys of the node may stand, as older configurations "
      "have them. Keys in the node object itself win." },

    { "Nodes[].Options", V2_CONF_FLAT, V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "Object in which keys of the node may stand, as ApiConfig." },

    { "Nodes[].XrayOptions", V2_CONF_FLAT, V2_NOWHERE, NULL, NULL, NULL, 0,
      NULL,
      "Object in which keys of the node may stand, as ApiConfig." },

    { "Nodes[].Refused", V2_CONF_TEXT, V2_NODE(refused, char *), NULL, NULL,
      NULL, V2_CONF_HIDDEN, NULL,
      "Why this node does not start, as it was logged." },

    { "Nodes[].Name", V2_CONF_TEXT, V2_NODE(name, char *), "", NULL, NULL, 0,
      NULL,
      "Tag of the node in logs and in inboundTag of rules. Empty: "
      "[ApiHost]-TYPE:NodeID. It must differ from those of other nodes." },

    { "Nodes[].PanelType", V2_CONF_WORD, V2_NODE(panel_type, char *), "auto",
      "auto|v2sp|uniproxy|file", NULL, 0, NULL,
      "Interface of the panel. \"auto\" tries, and takes \"file\" for an "
      "ApiHost that begins with file:." },

    { "Nodes[].ApiHost", V2_CONF_TEXT, V2_NODE(api_host, char *),
      "http://127.0.0.1", NULL, NULL, 0, NULL,
      "Address of the panel: the whole URL of the interface for v2sp, its "
      "beginning for UniProxy. \"file:DIR\" reads node-ID.json and "
      "users-ID.json in a folder and appends its reports there." },

    { "Nodes[].ApiKey", V2_CONF_TEXT, V2_NODE(api_key, char *), "", NULL,
      NULL, V2_CONF_SECRET, NULL,
      "Token for the panel." },

    { "Nodes[].NodeID", V2_CONF_UINT, V2_NODE(node_id, uint32_t), "0", "1",
      V2_U32, V2_CONF_REQUIRED, NULL,
      "Number of the node at the panel. There is no default." },

    { "Nodes[].NodeType", V2_CONF_WORD, V2_NODE(node_type, char *), "",
      "|vless", "vmess|trojan|shadowsocks|v2ray", 0, NULL,
      "Protocol of the node. Empty: the panel tells. v2ray is an old word for "
      "vmess." },

    { "Nodes[].Timeout", V2_CONF_UINT, V2_NODE(timeout_s, uint32_t), "30",
      "0", "300", 0, NULL,
      "Seconds that the panel may take for an answer. 0 means 5." },

    { "Nodes[].ApiSendIP", V2_CONF_IP, V2_NODE(api_send_ip, char *), "", NULL,
      NULL, 0, NULL,
      "Source address of connections to the panel. Empty: the kernel "
      "chooses." },

    { "Nodes[].RetryCount", V2_CONF_UINT, V2_NOWHERE, "1", "0", "1000",
      V2_CONF_DEAD, NULL,
      "Not used. A failed request is repeated with growing delay until the "
      "panel answers." },

    { "Nodes[].RuleListPath", V2_CONF_FILE, V2_NOWHERE, "", NULL, NULL,
      V2_CONF_LATER, NULL,
      "File with one regular expression a line; names that match are "
      "refused." },

    /* --- nodes: listener and outgoing connections --- */

    { "Nodes[].Core", V2_CONF_WORD, V2_NOWHERE, "", "|xray",
      "sing|hysteria2", 0, NULL,
      "Type of the core that serves the node." },

    { "Nodes[].CoreName", V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, 0, NULL,
      "Name of the core that serves the node; one of Cores must have it." },

    { "Nodes[].ListenIP", V2_CONF_IP, V2_NODE(listen_ip, char *), "0.0.0.0",
      NULL, NULL, 0, NULL,
      "Address to listen on. \"::\" is both families. The port comes from the "
      "panel." },

    { "Nodes[].SendIP", V2_CONF_IP, V2_NODE(send_ip, char *), "0.0.0.0", NULL,
      "origin", 0, NULL,
      "Source address of connections that leave for the users. 0.0.0.0: the "
      "kernel chooses." },

    { "Nodes[].DeviceOnlineMinTraffic", V2_CONF_UINT,
      V2_NODE(device_online_min_kb, uint32_t), "0", "0", V2_U32, 0, NULL,
      "A user with less traffic than this since the last report is not "
      "reported as online, in units of 1000 bytes. The traffic is reported in "
      "any case." },

    { "Nodes[].ReportMinTraffic", V2_CONF_UINT,
      V2_NODE(report_min_kb, uint32_t), "0", "0", V2_U32, 0, NULL,
      "Traffic of a user that is not above this, in units of 1024 bytes, "
      "waits for a later report." },

    { "Nodes[].EnableProxyProtocol", V2_CONF_BOOL, V2_NOWHERE, "false", NULL,
      NULL, V2_CONF_LATER, NULL,
      "Whether each connection must begin with a PROXY protocol header." },

    { "Nodes[].EnableTFO", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_LATER, NULL,
      "TCP Fast Open on the listener." },

    { "Nodes[].EnableUot", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_LATER, NULL,
      "UDP over TCP." },

    { "Nodes[].EnableDNS", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_LATER, NULL,
      "Whether names are resolved as DNSType and DnsConfigPath say." },

    { "Nodes[].DNSType", V2_CONF_WORD, V2_NOWHERE, "AsIs", "AsIs|",
      V2_STRATEGIES, 0, NULL,
      "Address family for names. \"AsIs\" takes what the resolver of the "
      "system finds." },

    { "Nodes[].DisableSniffing", V2_CONF_BOOL,
      V2_NODE(disable_sniffing, uint8_t), "false", NULL, NULL, 0, NULL,
      "Keeps v2sp from looking for a host name in the first bytes of a "
      "connection. It does not do that yet, so true is in effect already." },

    { "Nodes[].DisableIVCheck", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Turns the replay filter of Shadowsocks off. It has no effect on other "
      "protocols." },

    { "Nodes[].EnableFallback", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_LATER, NULL,
      "Whether connections of strangers are passed on as FallBackConfigs "
      "says." },

    { "Nodes[].FallBackConfigs", V2_CONF_LIST, V2_NOWHERE, "[]", NULL, NULL,
      0, NULL,
      "Where connections of strangers go. Only looked at when EnableFallback "
      "is true." },

    { "Nodes[].FallBackConfigs[].SNI", V2_CONF_TEXT, V2_NOWHERE, "", NULL,
      NULL, 0, NULL,
      "Server name that the client asked for. Empty: any." },

    { "Nodes[].FallBackConfigs[].Alpn", V2_CONF_TEXT, V2_NOWHERE, "", NULL,
      NULL, 0, NULL,
      "Negotiated application protocol. Empty: any." },

    { "Nodes[].FallBackConfigs[].Path", V2_CONF_TEXT, V2_NOWHERE, "", NULL,
      NULL, 0, NULL,
      "Path of the first HTTP request. Empty: any." },

    { "Nodes[].FallBackConfigs[].Dest", V2_CONF_TEXT, V2_NOWHERE, "", NULL,
      NULL, 0, NULL,
      "Where to: host:port, a port of this host, or the path of a socket." },

    { "Nodes[].FallBackConfigs[].ProxyProtocolVer", V2_CONF_UINT, V2_NOWHERE,
      "0", "0", "2", 0, NULL,
      "Version of the PROXY protocol header sent first. 0: none." },

    /* --- nodes: limits --- */

    { "Nodes[].LimitConfig", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL, NULL, 0,
      NULL,
      "Limits of this node, beside those that the panel sets for a user." },

    { "Nodes[].LimitConfig.SpeedLimit", V2_CONF_UINT, V2_NOWHERE, "0", "0",
      "1000000", V2_CONF_LATER, NULL,
      "Mbit/s of each user and direction. 0: no limit." },

    { "Nodes[].LimitConfig.DeviceLimit", V2_CONF_UINT, V2_NOWHERE, "0", "0",
      "65535", V2_CONF_LATER, "Nodes[].LimitConfig.IPLimit",
      "Addresses a user may use at once. 0: no limit." },

    { "Nodes[].LimitConfig.ConnLimit", V2_CONF_UINT, V2_NOWHERE, "0", "0",
      "1000000", V2_CONF_LATER, NULL,
      "Connections a user may have at once. 0: no limit." },

    { "Nodes[].LimitConfig.EnableRealtime", V2_CONF_BOOL, V2_NOWHERE, "false",
      NULL, NULL, V2_CONF_LATER, NULL,
      "Counts devices as connections come and go." },

    { "Nodes[].LimitConfig.EnableIpRecorder", V2_CONF_BOOL, V2_NOWHERE,
      "false", NULL, NULL, V2_CONF_LATER, NULL,
      "Shares the addresses of users with other hosts." },

    { "Nodes[].LimitConfig.IpRecorderConfig", V2_CONF_GROUP, V2_NOWHERE, NULL,
      NULL, NULL, 0, NULL,
      "How addresses are shared. Only looked at when EnableIpRecorder is "
      "true." },

    { "Nodes[].LimitConfig.IpRecorderConfig.Periodic", V2_CONF_UINT,
      V2_NOWHERE, "60", "0", V2_U32, 0, NULL,
      "Seconds between two exchanges." },

    { "Nodes[].LimitConfig.IpRecorderConfig.Type", V2_CONF_WORD, V2_NOWHERE,
      "Recorder", "Recorder|Redis|", NULL, 0, NULL,
      "Where addresses are kept." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RecorderConfig", V2_CONF_GROUP,
      V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "An HTTP server." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RecorderConfig.Url", V2_CONF_TEXT,
      V2_NOWHERE, "", NULL, NULL, 0, NULL,
      "Its address." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RecorderConfig.Token",
      V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, V2_CONF_SECRET, NULL,
      "Its token." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RecorderConfig.Timeout",
      V2_CONF_UINT, V2_NOWHERE, "5", "0", "3600", 0, NULL,
      "Seconds that it may take." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RedisConfig", V2_CONF_GROUP,
      V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "A Redis server." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RedisConfig.Address",
      V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, 0, NULL,
      "Its address and port." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RedisConfig.Password",
      V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, V2_CONF_SECRET, NULL,
      "Its password." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RedisConfig.Db", V2_CONF_UINT,
      V2_NOWHERE, "0", "0", "65535", 0, NULL,
      "Number of the database." },

    { "Nodes[].LimitConfig.IpRecorderConfig.RedisConfig.Expiry", V2_CONF_UINT,
      V2_NOWHERE, "60", "0", V2_U32, 0, NULL,
      "Seconds after which an address is forgotten." },

    { "Nodes[].LimitConfig.IpRecorderConfig.EnableIpSync", V2_CONF_BOOL,
      V2_NOWHERE, "false", NULL, NULL, 0, NULL,
      "Whether addresses of other hosts are read too." },

    { "Nodes[].LimitConfig.EnableDynamicSpeedLimit", V2_CONF_BOOL, V2_NOWHERE,
      "false", NULL, NULL, V2_CONF_LATER, NULL,
      "Slows users down for a time who move much at once." },

    { "Nodes[].LimitConfig.DynamicSpeedLimitConfig", V2_CONF_GROUP,
      V2_NOWHERE, NULL, NULL, NULL, 0, NULL,
      "When and how far. Only looked at when EnableDynamicSpeedLimit is "
      "true." },

    { "Nodes[].LimitConfig.DynamicSpeedLimitConfig.Periodic", V2_CONF_UINT,
      V2_NOWHERE, "60", "0", V2_U32, 0, NULL,
      "Seconds between two looks." },

    { "Nodes[].LimitConfig.DynamicSpeedLimitConfig.Traffic", V2_CONF_UINT,
      V2_NOWHERE, "0", "0", V2_U64, 0, NULL,
      "Bytes within one period from which on a user is slowed down." },

    { "Nodes[].LimitConfig.DynamicSpeedLimitConfig.SpeedLimit", V2_CONF_UINT,
      V2_NOWHERE, "0", "0", "1000000", 0, NULL,
      "Mbit/s while slowed down." },

    { "Nodes[].LimitConfig.DynamicSpeedLimitConfig.ExpireTime", V2_CONF_UINT,
      V2_NOWHERE, "0", "0", V2_U32, 0, NULL,
      "Minutes that it lasts." },

    { "Nodes[].AutoSpeedLimitConfig", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL,
      NULL, 0, "Nodes[].LimitConfig.AutoSpeedLimitConfig",
      "The same need in the words of XrayR." },

    { "Nodes[].AutoSpeedLimitConfig.Limit", V2_CONF_UINT, V2_NOWHERE, "0",
      "0", "1000000", V2_CONF_LATER, NULL,
      "Mbit/s on average above which a user is warned. 0: off." },

    { "Nodes[].AutoSpeedLimitConfig.WarnTimes", V2_CONF_UINT, V2_NOWHERE, "0",
      "0", V2_U32, 0, NULL,
      "Warnings before a user is slowed down." },

    { "Nodes[].AutoSpeedLimitConfig.LimitSpeed", V2_CONF_UINT, V2_NOWHERE,
      "0", "0", "1000000", 0, NULL,
      "Mbit/s while slowed down." },

    { "Nodes[].AutoSpeedLimitConfig.LimitDuration", V2_CONF_UINT, V2_NOWHERE,
      "0", "0", V2_U32, 0, NULL,
      "Minutes that it lasts." },

    /* --- nodes: certificates --- */

    { "Nodes[].CertConfig", V2_CONF_GROUP, V2_NOWHERE, NULL, NULL, NULL, 0,
      NULL,
      "The certificate of a node that uses TLS." },

    { "Nodes[].CertConfig.CertMode", V2_CONF_ENUM,
      V2_NODE(cert_mode, uint32_t), "none", "none|file|self|http|dns",
      "tls|content", 0, NULL,
      "Where the certificate comes from. \"none\": TLS ends elsewhere. "
      "\"file\": CertFile and KeyFile. \"self\": v2sp makes one and keeps it "
      "in StateDir. \"http\" and \"dns\": for now CertFile and KeyFile are "
      "served as they are, and nobody renews them." },

    { "Nodes[].CertConfig.CertDomain", V2_CONF_TEXT,
      V2_NODE(cert_domain, char *), "", NULL, NULL, 0, NULL,
      "Name in the certificate." },

    { "Nodes[].CertConfig.CertFile", V2_CONF_FILE, V2_NODE(cert_file, char *),
      "", NULL, NULL, 0, NULL,
      "File with the certificate and its chain. {domain} and {email} are "
      "replaced by CertDomain and Email." },

    { "Nodes[].CertConfig.KeyFile", V2_CONF_FILE, V2_NODE(key_file, char *),
      "", NULL, NULL, 0, NULL,
      "File with the private key. {domain} and {email} are replaced." },

    { "Nodes[].CertConfig.RejectUnknownSni", V2_CONF_BOOL,
      V2_NODE(reject_unknown_sni, uint8_t), "false", NULL, NULL, 0, NULL,
      "Refuses TLS clients that ask for another name." },

    { "Nodes[].CertConfig.Provider", V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL,
      0, NULL,
      "DNS provider, as lego names it." },

    { "Nodes[].CertConfig.Email", V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL, 0,
      NULL,
      "Account at the certificate authority." },

    { "Nodes[].CertConfig.DNSEnv", V2_CONF_MAP, V2_NOWHERE, "{}", NULL, NULL,
      V2_CONF_SECRET, NULL,
      "Variables with the credentials of the DNS provider." },

    /* --- nodes: keys of older programs --- */

    { "Nodes[].EnableXTLS", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Not used. The panel sets the flow." },

    { "Nodes[].EnableVless", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Not used. NodeType or the panel names the protocol." },

    { "Nodes[].EnableSniff", V2_CONF_BOOL, V2_NOWHERE, "false", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Not used. See DisableSniffing." },

    { "Nodes[].SniffOverrideDestination", V2_CONF_BOOL, V2_NOWHERE, "false",
      NULL, NULL, V2_CONF_DEAD, NULL,
      "Not used. See DisableSniffing." },

    { "Nodes[].DomainStrategy", V2_CONF_TEXT, V2_NOWHERE, "", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Not used. See DNSType." },

    { "Nodes[].MultiplexConfig", V2_CONF_ANY, V2_NOWHERE, "{}", NULL, NULL,
      V2_CONF_DEAD, NULL,
      "Not used. Multiplexing is the choice of the client." },
};

const unsigned v2_conf_rows_n = v2_nelems(v2_conf_rows);


const v2_conf_row_t *
v2_conf_row_find(const char *path)
{
    unsigned              i;
    const v2_conf_row_t  *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (strcasecmp(row->path, path) == 0
            || (row->alias != NULL && strcasecmp(row->alias, path) == 0))
        {
            return row;
        }
    }

    return NULL;
}


/* Prefers a key of the same object to an equally near one elsewhere. A key
 * is near when at most a third of its letters is wrong. */
const char *
v2_conf_row_near(const char *path)
{
    size_t                head;
    unsigned              i, d, best;
    const char           *leaf, *found;
    const v2_conf_row_t  *row;

    found = NULL;
    head = v2_conf_head(path);
    leaf = path + head;
    best = (unsigned) strlen(leaf) / 3 * 2 + 2;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->flags & V2_CONF_HIDDEN) {
            continue;
        }

        d = 2 * v2_conf_distance(leaf, v2_conf_row_leaf(row));

        if (v2_conf_head(row->path) != head
            || strncasecmp(row->path, path, head) != 0)
        {
            d++;
        }

        if (d < best) {
            best = d;
            found = row->path;
        }
    }

    return found;
}


const char *
v2_conf_row_leaf(const v2_conf_row_t *row)
{
    return row->path + v2_conf_head(row->path);
}


int
v2_conf_row_is_node(const v2_conf_row_t *row)
{
    return strncmp(row->path, "Nodes[].", 8) == 0;
}


/* Bytes of a path before its last part. */
static size_t
v2_conf_head(const char *path)
{
    const char  *dot;

    dot = strrchr(path, '.');

    return dot == NULL ? 0 : (size_t) (dot + 1 - path);
}


/* Levenshtein's distance, without regard to case. */
static unsigned
v2_conf_distance(const char *a, const char *b)
{
    size_t    i, j, la, lb;
    unsigned  row[V2_NEAR_MAX + 1], left, up, d;

    la = strnlen(a, V2_NEAR_MAX);
    lb = strnlen(b, V2_NEAR_MAX);

    for (j = 0; j <= lb; j++) {
        row[j] = (unsigned) j;
    }

    for (i = 1; i <= la; i++) {
        left = row[0];
        row[0] = (unsigned) i;

        for (j = 1; j <= lb; j++) {
            up = row[j];
            d = left + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
            d = v2_min(d, up + 1);
            row[j] = v2_min(d, row[j - 1] + 1);
            left = up;
        }
    }

    return row[lb];
}
