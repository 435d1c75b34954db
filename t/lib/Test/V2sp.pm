package Test::V2sp;

# End-to-end tests of v2sp: a private folder with a file panel, one running
# v2sp in the foreground, the far ends (t/tool/traffic.c) and the clients of
# others (Xray, sing-box).
#
#   my $t = Test::V2sp->new();
#   $t->node(1, tls => 1);                  users: $t->users(1, [...])
#   $t->run();  ...  $t->stop();            stop() checks exit code and log
#   done_testing();
#
# What a test may rely on: ports are reserved by a lock; every process started
# here is ended by its pid; nothing is left behind, unless V2SP_KEEP is set.
# A log line of level alert, emerg or crit, or one of a sanitizer, fails the
# test, unless it was announced by $t->expect(qr/.../).

use strict;
use warnings;

use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Handle;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(sleep time);

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');
our $UUID = '3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d01';

my $JSON = JSON::PP->new->canonical->allow_nonref;
my @LIVE;

sub new {
	my ($class, %o) = @_;

	my $dir = File::Temp::tempdir('v2sp-test-XXXXXX', TMPDIR => 1);
	chmod 0755, $dir;

	my $self = bless {
		dir => $dir, read => 0, nodes => {}, pids => {}, locks => [], expect => [],
		owner => $$, top => {}, core => {}, %o
	}, $class;

	make_path("$dir/panel");
	chmod 0777, "$dir/panel";
	push @LIVE, $self;

	return $self;
}

END {
	my $rc = $?;
	$_->cleanup() for grep { $_->{owner} == $$ } @LIVE;
	$? = $rc;
}

# ------------------------------------------------------------ the environment

sub engine { return $ENV{V2SP_ENGINE} || 'auto' }
sub small { return $ENV{V2SP_SMALL} ? 1 : 0 }
sub quick { return $ENV{V2SP_QUICK} ? 1 : 0 }

# A transfer's size, smaller where only the paths matter (sanitizers).
sub size { my ($n, $small) = @_; return small() || quick() ? $small : $n }

sub tool {
	my $b = $ENV{BUILDDIR} || 'objs';
	$b = "$ROOT/$b" unless $b =~ m{^/};
	return $ENV{V2SP_TRAFFIC} || "$b/t/tool/traffic";
}

sub v2sp {
	return $ENV{V2SP} || "$ROOT/objs/v2sp";
}

# The path of a client of others; skips or fails the whole file without it.
sub peer {
	my ($name) = @_;
	my $var = $name eq 'xray' ? 'XRAY' : 'SINGBOX';
	my $path = $ENV{$var};

	return $path if $path && -x $path;

	if (($ENV{V2SP_INTEROP} || '') eq 'required') {
		Test::More::BAIL_OUT("$name is required: set $var");
	}

	Test::More::plan(skip_all => "no $name client, set $var");
	exit 0;
}

# A free TCP and UDP port below the range the kernel takes by itself.
sub port {
	my ($self) = @_;
	my $base = "/tmp/v2sp-test-ports-$<";

	make_path($base);

	for (1 .. 500) {
		my $p = 20000 + int(rand(12000));
		open(my $lock, '>>', "$base/$p") or next;
		flock($lock, LOCK_EX | LOCK_NB) or next;

		my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
			LocalPort => $p, Listen => 1, ReuseAddr => 1) or next;
		my $u = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
			LocalPort => $p, Proto => 'udp') or next;
		close $s;
		close $u;
		push @{$self->{locks}}, $lock;
		return $p;
	}

	die 'no free port';
}

# ------------------------------------------------------------ files

sub write_file {
	my ($self, $name, $text) = @_;
	my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";

	$text = $JSON->encode($text) if ref $text;
	open(my $f, '>', "$path.new") or die "$path: $!";
	print $f $text;
	close $f;
	rename("$path.new", $path) or die "$path: $!";

	return $path;
}

sub read_file {
	my ($self, $name) = @_;
	my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";

	open(my $f, '<', $path) or return '';
	local $/;
	my $text = <$f>;
	return defined $text ? $text : '';
}

# A node of the file panel (or of %conf's ApiHost) and its config entry.
# Options: tls, port, conf => {...} for config.json, panel => {...} for the
# panel's answer, users => [...].
sub node {
	my ($self, $id, %o) = @_;
	my $port = $o{port} || $self->port();

	$self->{nodes}{$id} = {
		id => $id, port => $port, tls => $o{tls} ? 1 : 0,
		answer => {
			node_type => 'vless', server_port => $port,
			network => 'tcp', networkSettings => {},
			tls => $o{tls} ? 1 : 0, flow => '', routes => [],
			server_name => 'node.test',
			base_config => { push_interval => 5, pull_interval => 5 },
			%{$o{panel} || {}}
		},
		conf => {
			ApiHost => "file:$self->{dir}/panel", ApiKey => 'test-token',
			NodeID => $id, NodeType => 'vless',
			ListenIP => '127.0.0.1',
			$o{tls} ? (CertConfig => {
				CertMode => 'file', CertDomain => 'node.test',
				CertFile => $self->cert()->[0],
				KeyFile => $self->cert()->[1]
			}) : (),
			%{$o{conf} || {}}
		}
	};

	$self->panel_node($id);
	$self->users($id, $o{users} || [{ id => 1, uuid => $UUID }])
		unless $o{no_users};

	return $port;
}

sub panel_node {
	my ($self, $id, %change) = @_;
	my $n = $self->{nodes}{$id};

	$n->{answer} = { %{$n->{answer}}, %change };
	$n->{port} = $n->{answer}{server_port};
	$self->write_file("panel/node-$id.json", $n->{answer});
}

sub users {
	my ($self, $id, $users) = @_;
	$self->write_file("panel/users-$id.json", { users => $users });
}

# [certificate, key] for node.test, made once.
sub cert {
	my ($self, $name) = @_;

	$name = $name || 'node';

	unless ($self->{certs}{$name}) {
		my $base = "$self->{dir}/$name";
		system("openssl req -x509 -newkey ec -pkeyopt "
			. "ec_paramgen_curve:prime256v1 -nodes -days 3650 "
			. "-keyout $base.key -out $base.crt -subj /CN=$name.test "
			. "-addext subjectAltName=DNS:$name.test >/dev/null 2>&1") == 0
			or die 'openssl req';
		chmod 0644, "$base.key";
		$self->{certs}{$name} = ["$base.crt", "$base.key"];
	}

	return $self->{certs}{$name};
}

sub config {
	my ($self) = @_;
	my $d = $self->{dir};

	$self->write_file('route.json', $self->{route} || {
		domainStrategy => 'AsIs',
		rules => [{ type => 'field', ip => ['127.0.0.0/8', '::1'],
			outboundTag => 'direct' }]
	});

	$self->write_file('config.json', {
		Log => { Level => $self->{level} || 'info',
			Output => "$d/error.log" },
		Cores => [{ Type => 'xray', RouteConfigPath => "$d/route.json",
			Log => { AccessPath => 'none' },
			XrayConnectionConfig => { connIdle => 300 },
			%{$self->{core}} }],
		Nodes => [map { $self->{nodes}{$_}{conf} }
			sort { $a <=> $b } keys %{$self->{nodes}}],
		StateDir => "$d/state", PidFile => "$d/v2sp.pid",
		Engine => engine(), Workers => 2,
		%{$self->{top}}
	});

	return "$d/config.json";
}

# ------------------------------------------------------------ processes

sub spawn {
	my ($self, $name, @cmd) = @_;
	my $pid = fork();

	die 'fork' unless defined $pid;

	if ($pid == 0) {
		setpgrp(0, 0);
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{dir}/$name.out");
		open(STDERR, '>>', "$self->{dir}/$name.out");
		exec(@cmd) or POSIX::_exit(127);
	}

	$self->{pids}{$pid} = $name;

	return $pid;
}

# Ends one process of ours: signal, wait, KILL if it does not go. Returns its
# wait status, or undef.
sub end_pid {
	my ($self, $pid, $signal, $seconds) = @_;
	my $end = time() + ($seconds || 10);

	return undef unless delete $self->{pids}{$pid};

	kill $signal || 'TERM', $pid;

	while (time() < $end) {
		my $r = waitpid($pid, WNOHANG);
		return $? if $r == $pid;
		return undef if $r == -1;
		sleep 0.02;
	}

	kill 'KILL', -$pid;
	kill 'KILL', $pid;
	waitpid($pid, 0);

	return undef;
}

sub wait_for {
	my ($seconds, $what) = @_;
	my $end = time() + $seconds;

	while (time() < $end) {
		my $r = $what->();
		return $r if $r;
		sleep 0.05;
	}

	return $what->();
}

sub wait_port {
	my ($port, $seconds) = @_;

	return wait_for($seconds || 15, sub {
		my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
			PeerPort => $port, Timeout => 1);
		return $s ? 1 : 0;
	});
}

# Starts v2sp and waits until every node (of {wait}) answers.
sub run {
	my ($self, %o) = @_;

	$self->config();
	$self->{pid} = $self->spawn('v2sp', v2sp(), 'run', '-c',
		"$self->{dir}/config.json");

	for my $id (@{$o{wait} || [sort keys %{$self->{nodes}}]}) {
		next if wait_port($self->{nodes}{$id}{port}, 30);
		Test::More::diag($self->log());
		Test::More::BAIL_OUT("node $id did not open its port");
	}

	return $self;
}

sub reload {
	my ($self) = @_;
	kill 'HUP', $self->{pid};
}

# Pids of a role's processes: children of the master, by their title.
sub children {
	my ($self) = @_;
	my $text = $self->read_file("/proc/$self->{pid}/task/$self->{pid}/children");

	return split ' ', $text;
}

sub stop {
	my ($self, $signal, $name) = @_;

	return unless $self->{pid};

	my $status = $self->end_pid(delete $self->{pid}, $signal || 'TERM', 30);

	Test::More::is($status, 0, ($name ? "$name: " : '') . 'v2sp ended well');
	$self->check_log();

	return $self;
}

sub expect {
	my ($self, @re) = @_;
	push @{$self->{expect}}, @re;
}

sub log {
	my ($self) = @_;
	return $self->read_file('error.log') . $self->read_file('v2sp.out');
}

sub wait_log {
	my ($self, $re, $seconds) = @_;
	return wait_for($seconds || 10, sub { $self->log() =~ $re });
}

sub check_log {
	my ($self) = @_;
	my @bad;

	for my $line (split /\n/, $self->log()) {
		next unless $line =~ /\[(?:alert|emerg|crit)\]|Sanitizer|runtime error/;
		next if grep { $line =~ $_ } @{$self->{expect}};
		push @bad, $line;
	}

	Test::More::is(join("\n", @bad), '', 'no alerts');
}

sub cleanup {
	my ($self) = @_;

	$self->end_pid($_, 'TERM', 10) for reverse sort keys %{$self->{pids}};

	if ($ENV{V2SP_KEEP}) {
		print STDERR "# kept $self->{dir}\n";

	} elsif ($self->{dir}) {
		remove_tree($self->{dir});
	}

	$self->{dir} = undef;
}

# ------------------------------------------------------------ far ends

# The server of the far end: its port.
sub serve {
	my ($self) = @_;

	$self->{far} = $self->port();
	$self->spawn('far', tool(), 'serve', $self->{far});
	wait_port($self->{far}) or die 'traffic serve';

	return $self->{far};
}

# Runs the tool; returns (exit code, its output).
sub traffic {
	my ($self, $cmd, @args) = @_;
	my @quoted = map { s/'/'\\''/gr } tool(), $cmd, @args;
	my $out = qx(@{[join ' ', map { "'$_'" } @quoted]} 2>&1);

	return ($? >> 8, $out);
}

# One traffic run that must succeed; adds what it read to $self->{read}.
sub flow {
	my ($self, $name, @args) = @_;
	my ($rc, $out) = $self->traffic('run', @args);

	Test::More::is($rc, 0, $name) or Test::More::diag($out);
	$self->{read} += $1 if $out =~ /down (\d+)/;

	return $out;
}

sub udp {
	my ($self, $name, @args) = @_;
	my ($rc, $out) = $self->traffic('udp', @args);

	Test::More::is($rc, 0, $name) or Test::More::diag($out);
	$self->{read} += $1 if $out =~ /down (\d+)/;
}

# Payload that the far server read so far.
sub far_read {
	my ($self) = @_;
	my ($rc, $out) = $self->traffic('run', '-p', $self->{far}, 'Q');

	return $out =~ /up (\d+)/ ? $1 : -1;
}

# Arguments by which the tool speaks VLESS to a node itself.
sub vless {
	my ($self, $id, $host) = @_;

	return ('-p', $self->{nodes}{$id}{port}, '-v', $UUID, '-t',
		($host || '127.0.0.1') . ":$self->{far}");
}

# ------------------------------------------------------------ clients of others

# A client with a tunnel to the far server through a node: its local port.
# Options: host (of the target), udp, uuid, mux.
sub client {
	my ($self, $kind, $id, %o) = @_;
	my $path = peer($kind);
	my $port = $self->port();
	my $n = $self->{nodes}{$id};
	my $name = "$kind-$port";
	my $host = $o{host} || '127.0.0.1';
	my $conf = $kind eq 'xray' ? $self->xray($n, $port, $host, %o)
		: $self->singbox($n, $port, $host, %o);
	my $file = $self->write_file("$name.json", $conf);

	my $pid = $self->spawn($name, $path, 'run', '-c', $file);
	wait_port($port) or die "$name: " . $self->read_file("$name.out");

	return wantarray ? ($port, $pid) : $port;
}

sub xray {
	my ($self, $n, $port, $host, %o) = @_;

	return {
		log => { loglevel => 'warning' },
		inbounds => [{ listen => '127.0.0.1', port => $port + 0,
			protocol => 'dokodemo-door', settings => {
				address => $host, port => $self->{far} + 0,
				network => 'tcp,udp' } }],
		outbounds => [{ protocol => 'vless', settings => { vnext => [{
			address => '127.0.0.1', port => $n->{port} + 0,
			users => [{ id => $o{uuid} || $UUID, encryption => 'none' }]
			}] },
			streamSettings => { network => 'tcp', $n->{tls} ? (
				security => 'tls', tlsSettings => {
					serverName => 'node.test',
					allowInsecure => JSON::PP::true,
					%{$o{tls} || {}} }) : () } }]
	};
}

sub singbox {
	my ($self, $n, $port, $host, %o) = @_;

	return {
		log => { level => 'warn' },
		inbounds => [{ type => 'direct', listen => '127.0.0.1',
			listen_port => $port + 0, override_address => $host,
			override_port => $self->{far} + 0 }],
		outbounds => [{ type => 'vless', server => '127.0.0.1',
			server_port => $n->{port} + 0, uuid => $o{uuid} || $UUID,
			packet_encoding => '',
			$n->{tls} ? (tls => { enabled => JSON::PP::true,
				server_name => 'node.test', insecure => JSON::PP::true,
				%{$o{tls} || {}} }) : () }]
	};
}

# ------------------------------------------------------------ bills

# Sum of the reports of a node's user: (up, down).
sub bill {
	my ($self, $id, $user) = @_;
	my ($up, $down) = (0, 0);

	for my $line (split /\n/, $self->read_file('panel/push.jsonl')) {
		my $r = eval { $JSON->decode($line) } or next;
		next unless $r->{node} == $id;
		my $d = $r->{data}{defined $user ? $user : 1} or next;
		$up += $d->[0];
		$down += $d->[1];
	}

	return ($up, $down);
}

# After stop(): the bill is what the far ends read.
sub bill_is {
	my ($self, $id, $up, $down, $name) = @_;
	my ($bup, $bdown) = $self->bill($id);

	Test::More::is($bup, $up, "$name: up billed exactly");
	Test::More::is($bdown, $down, "$name: down billed exactly");
}

sub json { return $JSON }

1;
