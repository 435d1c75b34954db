#!/usr/bin/perl

# What -t and a start say about a configuration that cannot work: one line for
# each fault, exit 1, and nothing left behind.
# quick

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::V2sp;

my $t = Test::V2sp->new();
my $d = $t->{dir};

$t->node(1, tls => 1);

my ($cert, $key) = @{$t->cert()};
my $conf = $t->{nodes}{1}{conf};
my $other = $t->cert('other');

# name, change, what the line says, "" for a good one; how often
my @cases = (
	['as it is', sub { }, ''],
	['a wrong pair', sub { $conf->{CertConfig}{KeyFile} = $other->[1] },
		'node 1: private key does not match the certificate'],
	['no certificate', sub { $conf->{CertConfig}{CertFile} = "$d/none" },
		'node 1: CertFile "[^"]*/none" cannot be read \(2:'],
	['no key', sub { $conf->{CertConfig}{KeyFile} = "$d/none" },
		'node 1: KeyFile "[^"]*/none" cannot be read \(2:'],
	['no certificate, but one of its own', sub {
		$conf->{CertConfig}{CertFile} = "$d/none";
		$conf->{CertConfig}{CertMode} = 'self' }, ''],
	['a wrong pair of a panel that is not asked', sub {
		$conf->{CertConfig}{KeyFile} = $other->[1];
		$conf->{ApiHost} = 'http://127.0.0.1:9' },
		'node 1: private key does not match the certificate'],
	['a panel that is not asked', sub {
		$conf->{ApiHost} = 'http://127.0.0.1:9' }, ''],
	['a refused node', sub { $conf->{SendIP} = 'x.y' }, 'SendIP.*"x.y"'],
	['no folder', sub { $conf->{ApiHost} = "file:$d/none" },
		'node 1: the folder "[^"]*/none" cannot be opened'],
	['no node file', sub { $conf->{NodeID} = 7 },
		'node 7: "node-7.json" .* cannot be read'],
	['no user file', sub { unlink "$d/panel/users-1.json" },
		'node 1: "users-1.json" .* cannot be read'],
	['a node file that is none', sub {
		$t->write_file('panel/node-1.json', '<html>') },
		'node 1: "node-1.json":'],
	['a transport that is not built', sub {
		$t->panel_node(1, network => 'quic') }, 'node 1: .*quic'],
	['half of a user list', sub {
		$t->write_file('panel/users-1.json', '{"users":[{"id":1}') },
		'node 1: "users-1.json": .* not complete JSON'],
	['a user without uuid', sub {
		$t->users(1, [{ id => 1, uuid => $Test::V2sp::UUID }, { id => 2 }]) },
		'', qr/1 of 2 users are left out/],
	['no rule file', sub { $t->{core}{RouteConfigPath} = "$d/none" }, '',
		qr/RouteConfigPath "[^"]*none" is not there/],
	['a rule that is none', sub {
		$t->{route} = { rules => [{ type => 'field', ip => ['nowhere'],
			outboundTag => 'direct' }] } }, 'RouteConfigPath.*nowhere'],
	['a folder as rule file', sub { $t->{core}{RouteConfigPath} = $d },
		'cannot be read \(21:'],
	['a value that is none', sub { $t->{top}{Workers} = 'many' },
		'"Workers".*many'],
	['StateDir too deep', sub { $t->{top}{StateDir} = "$d/a/b/c" },
		'StateDir "[^"]*/a/b/c" cannot be made'],
);

if ($> == 0) {
	push @cases,
		['no such user', sub { $t->{top}{User} = 'nobodyhere' },
			'no user "nobodyhere"'],
		['no such group', sub { $t->{top}{Group} = 'nobodyhere' },
			'no group "nobodyhere"'],
		['a StateDir of another', sub { mkdir "$d/his";
			$t->{top}{StateDir} = "$d/his" }, 'StateDir .* belongs to uid 0'],
		['a user file that User may not read', sub {
			chmod 0600, "$d/panel/users-1.json" },
			'users-1.json" .* cannot be read as uid \d+ \(13:'];
}

my %save = %{$conf};
my %cert = %{$conf->{CertConfig}};

for my $case (@cases) {
	my ($name, $change, $want, $also) = @$case;

	%$conf = (%save, CertConfig => { %cert });
	$t->{top} = {};
	$t->{core} = {};
	delete $t->{route};
	$t->panel_node(1, network => 'tcp');
	$t->users(1, [{ id => 1, uuid => $Test::V2sp::UUID }]);
	$change->();
	$t->config();

	my ($rc, $out) = v2sp('-t');
	my @faults = $out =~ /(\[(?:emerg|error|crit|alert)\][^\n]*)/g;

	is($rc, $want eq '' ? 0 : 1, "$name: exit code") or diag($out);
	is(scalar @faults, $want eq '' ? 0 : 1, "$name: lines") or diag($out);
	like($out, qr/$want/, "$name: what it says") if $want ne '';
	like($out, $also, "$name: a warning") if $also;
	like($out, qr/test @{[$want eq '' ? 'is successful' : 'failed']}/,
		"$name: the last line");
}

# ------------------------------------------------------------ starts

%$conf = (%save, CertConfig => { %cert });
$t->{top} = { User => 'nobodyhere' };
$t->{core} = {};
delete $t->{route};
$t->panel_node(1, network => 'tcp');
$t->users(1, [{ id => 1, uuid => $Test::V2sp::UUID }]);

SKIP: {
	skip 'needs root', 2 if $> != 0;
	$t->config();
	is((v2sp('run'))[0], 1, 'a start that fails');
	ok(!-e "$d/v2sp.pid", 'leaves no pid file');
}

$t->{top} = {};
$t->config();
is((v2sp())[0], 0, 'a daemon');
ok(Test::V2sp::wait_port($t->{nodes}{1}{port}), 'serves');

my ($rc, $out) = v2sp('run');
my ($pid) = $t->read_file('v2sp.pid') =~ /(\d+)/;

$t->{pids}{$pid} = 'daemon' if $pid;
is($rc, 1, 'a second one');
like($out, qr/already running, pid $pid /, 'is told');
is((v2sp('-t'))[0], 0, '-t beside one that runs');
is(readlink("/proc/$pid/fd/$_"), '/dev/null', "descriptor $_") for 0 .. 2;

is((v2sp('-s', 'reload'))[0], 0, '-s reload');
ok($t->wait_log(qr/configuration reloaded/), 'reloads');
rename "$d/error.log", "$d/error.log.1";
is((v2sp('-s', 'reopen'))[0], 0, '-s reopen');
ok(Test::V2sp::wait_for(5, sub { -e "$d/error.log" }), 'opens a new log');
is((v2sp('-s', 'stop'))[0], 0, '-s stop');
ok(Test::V2sp::wait_for(8, sub { !-e "$d/v2sp.pid" }), 'ends it');
delete $t->{pids}{$pid};
($rc, $out) = v2sp('-s', 'stop');
is($rc, 1, '-s stop with nobody there');
like($out, qr/is v2sp running/, 'is told');

$t->write_file('v2sp.pid', "1\n");
like((v2sp('-s', 'stop'))[1], qr/not running .* left over/,
	'a pid file that is left over is not trusted');
$t->check_log();

done_testing();

sub v2sp {
	my @args = @_;
	my @word = @args && $args[0] eq 'run' ? shift @args : ();
	my $cmd = join ' ', Test::V2sp::v2sp(), @word, '-c', "$d/config.json",
		@args;
	my $out = qx(timeout 30 $cmd 2>&1 </dev/null);

	return ($? >> 8, $out);
}
