<?php
/**
 * Returns once the database is prepared for this image (see prepare.php), so that
 * the server never meets an empty database, nor one older than its code.
 */

namespace Store;

require __DIR__ . '/../lib/database.php';

$release = release_name();
log("waiting for the database to be prepared for release $release");
for ($prepared = false; !$prepared; ) {
	$db = connect();
	try {
		while (!($prepared = is_prepared($db, $release))) {
			usleep(POLL_MICROSECONDS);
		}
	} catch (\mysqli_sql_exception $e) {
		log("asking the database: {$e->getMessage()}");
		usleep(POLL_MICROSECONDS);
	}
}
