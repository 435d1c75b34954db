#!/usr/bin/perl

# VLESS over plain TCP: each client that others wrote, sizes from one byte,
# one-byte segments, half close both ways, resets, UDP; and the bill.
# quick

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::V2sp;

my $big = Test::V2sp::size(1 << 30, 32 << 20);
my $quick = Test::V2sp::quick();

for my $tls (0, 1) {
	my $t = Test::V2sp->new();
	my $what = $tls ? 'tls' : 'tcp';

	$t->serve();
	$t->node(1, tls => $tls);
	$t->run();

	my @clients = $quick ? () : ('xray', 'sing-box');

	for my $kind (@clients) {
		my $port = $t->client($kind, 1);
		flows($t, "$what $kind", '-p', $port);

		$t->udp("$what $kind udp $_", '-p', $port, $_, 20) for 40, 1400;
	}

	unless ($tls) {
		flows($t, 'own', $t->vless(1));
		$t->udp("own udp $_", $t->vless(1), $_, 20) for 1, 40, 1400, 8192;
		$t->flow('own, one-byte segments', '-b', 1, $t->vless(1), 'U 3000');
	}

	my ($up, $down) = ($t->far_read(), $t->{read});

	$t->stop();
	$t->bill_is(1, $up, $down, $what);
}

done_testing();

sub flows {
	my ($t, $name, @how) = @_;

	for my $n (1, 1000, 100_000, $big) {
		$t->flow("$name: D $n", @how, "D $n");
		$t->flow("$name: U $n", @how, "U $n");
	}

	$t->flow("$name: 8 at once, D", '-j', 8, @how, 'D 3000000');
	$t->flow("$name: 8 at once, U", '-j', 8, @how, 'U 3000000');

	# Xray and sing-box do not hand on a half close of their application

	return if $name !~ /own/;

	$t->flow("$name: echo", @how, 'E 50000');
	$t->flow("$name: answer after the client's FIN", @how, 'F 1');
}
