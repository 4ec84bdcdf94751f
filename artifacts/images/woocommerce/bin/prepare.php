<?php
/**
 * Prepares the database for this image: WordPress, the shop's plugin, the first
 * set-up of the shop, and what the platform owns in it. May run any number of
 * times, and be killed at any point: every step looks before it writes.
 */

namespace Store;

require __DIR__ . '/../lib/database.php';

const ATTEMPTS = 5;
// The names of two runs' locks must be equal, and nothing else's.
const LOCK = 'store_prepare';
const LOCK_SECONDS = 600;

for ($attempt = 1; ; $attempt++) {
	try {
		prepare(release_name());
		exit(0);
	} catch (\Throwable $e) {
		log("preparing the database, attempt $attempt of " . ATTEMPTS . ": {$e->getMessage()}");
		if ($attempt === ATTEMPTS) {
			exit(1);
		}
		sleep(1);
	}
}

function prepare(string $release): void
{
	$db = connect();
	$db->query('set session wait_timeout = 3600');
	if ((int) $db->execute_query('select get_lock(?, ?)', [LOCK, LOCK_SECONDS])->fetch_column() !== 1) {
		throw new \RuntimeException('another run holds the lock');
	}
	if (is_prepared($db, $release)) {
		log("the database is prepared for release $release already");
	} else {
		phase('install');
		phase('set-up');
	}
	phase('settings');
	record_prepared($db, $release);
}

/**
 * Runs one phase in a process of its own: what a plugin does when it is loaded
 * depends on what the phase before has written.
 */
function phase(string $name): void
{
	$started = hrtime(true);
	$process = proc_open([PHP_BINARY, __DIR__ . "/../lib/phases/$name.php"], [['file', '/dev/null', 'r'], STDERR, STDERR], $pipes);
	$status = $process === false ? -1 : proc_close($process);
	if ($status !== 0) {
		throw new \RuntimeException("phase $name ended with $status");
	}
	log(sprintf('%s took %.1f s', $name, (hrtime(true) - $started) / 1e9));
}
