#!/usr/bin/perl

# What the master does with new configurations: nodes that fail and come back,
# reloads good and bad, new generations of workers, the order of a stop. An
# open connection must live through all of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use Test::V2sp;
use Time::HiRes qw(sleep time);

my $t = Test::V2sp->new();
my $d = $t->{dir};

$t->serve();
$t->node(1, tls => 1);
$t->node(2);

# ------------------------------------------------------------ a port in use

my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
	LocalPort => $t->{nodes}{2}{port}, ReuseAddr => 1);

$t->run(wait => [1]);
ok($t->wait_log(qr/node 2 is not served: .* in use by another program/),
	'a port in use is told');
is(logged(qr/in use by another program/), 1, 'once');
close $busy;

ok($t->wait_log(qr/node 2 serves on port/, 15), 'and tried again');

my $held = held(2);

ok(echo($held), 'a connection to hold');

# ------------------------------------------------------------ a new port

my $old = $t->{nodes}{2}{port};

$t->panel_node(2, server_port => $t->port() + 0);
ok(Test::V2sp::wait_port($t->{nodes}{2}{port}, 20), 'the panel moves a node');
ok(Test::V2sp::wait_for(5, sub { !connects($old) }), 'the old port closes');
ok(echo($held), 'its connection lives');

$t->panel_node(1, server_port => $t->{nodes}{2}{port} + 0);
ok($t->wait_log(qr/node 1 goes on as it was: .* is the address of node 2/, 20),
	'a port of another node is refused');
ok(connects(serving(1)), 'the node serves where it was');

my $images = logged(qr/image \d+ is in use/);

sleep 22;
is(logged(qr/image \d+ is in use/), $images, 'trying again makes no images');

$t->panel_node(1, server_port => serving(1) + 0);
sleep 1;

# ------------------------------------------------------------ reloads

$t->{top}{Workers} = 'many';
reload_fails('a value that is none');
delete $t->{top}{Workers};

$t->{route} = { rules => [{ type => 'field', ip => ['nowhere'],
	outboundTag => 'direct' }] };
reload_fails('a rule that is none');
delete $t->{route};

$t->{nodes}{2}{conf}{ListenIP} = '127.0.0.2';
reload_works('another ListenIP');
ok(connects($t->{nodes}{2}{port}, '127.0.0.2'), 'the new address serves');
ok(!connects($t->{nodes}{2}{port}), 'the old one does not');
$t->{nodes}{2}{conf}{ListenIP} = '0.0.0.0';
reload_works('one that covers it');
ok(connects($t->{nodes}{2}{port}), 'it serves, too');
ok(echo($held), 'the connection lives');

my $port = $t->{nodes}{2}{port};

$t->node(3, port => $port);
$t->{gone} = delete $t->{nodes}{2};
reload_works('a node takes the place of another');
ok($t->wait_log(qr/node 3 serves on port $port/, 12), 'on its port');
ok(connects($port), 'it serves');
$held = held(3);
ok(echo($held), 'a connection to hold');

for (1 .. 3) {
	kill 'HUP', $t->{pid};
	sleep 0.005;
}

ok(Test::V2sp::wait_for(10, sub { logged(qr/configuration reloaded/) >= 5 }),
	'reloads during a reload');

# ------------------------------------------------------------ certificates

my ($cert, $key) = @{$t->cert()};
my $good = $t->read_file($key);
my $other = $t->read_file($t->cert('other')->[1]);

$t->write_file($key, $other);
chmod 0644, $key;
ok($t->wait_log(qr/node 1 keeps its old certificate/, 15),
	'half of a renewal is told');
ok(connects(serving(1)), 'the old pair serves');
sleep 11;
is(logged(qr/node 1 keeps its old certificate/), 1, 'once');
unlink $key;
ok($t->wait_log(qr/keeps its old certificate: KeyFile .* cannot be read/, 15),
	'a key that is gone is told');
sleep 11;
is(logged(qr/keeps its old certificate: KeyFile/), 1, 'once');
$images = logged(qr/image \d+ is in use/);
$t->write_file($key, $other);
$t->write_file($cert, $t->read_file($t->cert('other')->[0]));
ok(Test::V2sp::wait_for(15, sub { subject() =~ /other\.test/ }),
	'the whole renewal is in use');

# ------------------------------------------------------------ generations

my @before = $t->children();

$t->{top}{Workers} = 3;
reload_works('more workers');
ok(connects(serving(1)) && connects($port), 'all serve');
ok(echo($held), 'the connection lives on an old worker');

my %was = map { $_ => 1 } @before;

is(scalar(grep { !$was{$_} } $t->children()), 3, 'three new processes');
close $held;
ok(Test::V2sp::wait_for(10, sub { $t->children() == 4 }),
	'old workers end with their last connection');

$held = held(3);

SKIP: {
	skip 'needs root', 4 if $> != 0;

	my $uid = getpwnam('daemon');

	$t->{top}{User} = 'daemon';
	$t->config();
	kill 'HUP', $t->{pid};
	$t->expect(qr/StateDir .* belongs to uid/);
	ok($t->wait_log(qr/belongs to uid \d+ and not to user "daemon"/),
		'a user that does not own StateDir is refused');

	chown $uid, -1, $_ for "$d/state", glob("$d/state/*");
	reload_works('another user');
	ok(Test::V2sp::wait_for(10, sub {
		my @uids = map { (stat "/proc/$_")[4] } $t->children();
		return @uids == 5 && 1 == grep { $_ != $uid } @uids;
	}), 'all processes are his, but the one that drains');
	ok(connects($port) && echo($held), 'all serve');
	close $held;
}

# ------------------------------------------------------------ stop

$held = held(3);

my $begin = time();

$t->stop();
cmp_ok(time() - $begin, '<', 7, 'TERM ends in time with an open connection');

$t->{top}{WorkerShutdownTimeout} = 2;
delete $t->{top}{User};
system('chown', '-R', 'nobody', "$d/state") if $> == 0;
$t->run();
$held = held(3);
$begin = time();
kill 'QUIT', $t->{pid};
ok(Test::V2sp::wait_for(3, sub { !connects($port) }), 'QUIT closes the ports');
ok(echo($held), 'the connection lives');
$t->stop('QUIT');
cmp_ok(time() - $begin, '<', 9, 'QUIT ends with its timeout');
cmp_ok(time() - $begin, '>', 1.5, 'not before');

# the master dies: nobody is dropped, and all end by themselves

delete $t->{top}{WorkerShutdownTimeout};
$t->run();
$held = held(3);

my @children = $t->children();

kill 'KILL', $t->{pid};
$t->end_pid(delete $t->{pid}, 'KILL');
ok(Test::V2sp::wait_for(3, sub { !connects($port) }),
	'without a master the ports close');
ok(echo($held), 'the connection lives');
close $held;
ok(Test::V2sp::wait_for(15, sub { !grep { kill 0, $_ } @children }),
	'its children end');

done_testing();

# ------------------------------------------------------------ helpers

sub logged {
	my ($re) = @_;
	my $n = () = $t->log() =~ /$re/g;

	return $n;
}

sub serving {
	my ($id) = @_;
	my @ports = $t->log() =~ /node $id serves on port (\d+)/g;

	return $ports[-1];
}

sub connects {
	my ($p, $host) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => $host || '127.0.0.1',
		PeerPort => $p, Timeout => 2);

	return $s ? 1 : 0;
}

# A VLESS connection through a node to the far end's echo.
sub held {
	my ($id) = @_;
	my $uuid = pack('H*', $Test::V2sp::UUID =~ s/-//gr);
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
		PeerPort => $t->{nodes}{$id}{port}, Timeout => 5) or die 'connect';

	$s->autoflush(1);
	print $s "\0", $uuid, "\0\1", pack('nC', $t->{far}, 1), "\x7f\0\0\1E\n";
	*$s->{head} = 2;

	return $s;
}

sub echo {
	my ($s) = @_;
	my ($text, $got) = ('ping' . int(rand(1e9)), '');

	print $s $text;

	local $SIG{ALRM} = sub { die "no echo\n" };
	eval {
		alarm 10;
		while (length $got < *$s->{head} + length $text) {
			sysread($s, $got, 4096, length $got) or last;
		}
		alarm 0;
	};
	alarm 0;
	$got = substr($got, *$s->{head}) if length $got >= *$s->{head};
	*$s->{head} = 0;

	return $got eq $text;
}

sub subject {
	return scalar qx(openssl s_client -connect 127.0.0.1:@{[serving(1)]} \\
		-servername node.test </dev/null 2>/dev/null);
}

sub reload_works {
	my ($name) = @_;
	my $n = logged(qr/configuration reloaded/);

	$t->config();
	kill 'HUP', $t->{pid};
	ok(Test::V2sp::wait_for(10, sub {
		logged(qr/configuration reloaded/) > $n }), $name) or diag($t->log());
}

sub reload_fails {
	my ($name) = @_;
	my $n = logged(qr/reload failed/);

	$t->expect(qr/RouteConfigPath|Workers/);
	$t->config();
	kill 'HUP', $t->{pid};
	ok(Test::V2sp::wait_for(10, sub { logged(qr/reload failed/) > $n }),
		"$name: the reload fails");
	ok(connects(serving(1)), "$name: the old configuration goes on");
}
