<?php
/**
 * The shop's database as the programs of bin use it: a connection, and the record
 * of the releases that have prepared it.
 */

namespace Store;

const WORDPRESS = '/usr/src/wordpress';
const POLL_MICROSECONDS = 250_000;

function log(string $message): void
{
	fwrite(STDERR, $message . "\n");
}

/** The plugin that makes a shop of WordPress, as the name of its folder. */
function plugin(): string
{
	return getenv('STORE_PLUGIN') ?: 'woocommerce';
}

/**
 * Connects, trying again for as long as the database refuses: a pod of it may be
 * just starting.
 */
function connect(): \mysqli
{
	mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
	[$host, $port] = array_pad(explode(':', getenv('WORDPRESS_DB_HOST') ?: 'mariadb', 2), 2, '3306');
	for ($reported = null; ; usleep(POLL_MICROSECONDS)) {
		try {
			$db = mysqli_init();
			$db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 3);
			@$db->real_connect($host, getenv('WORDPRESS_DB_USER') ?: 'wordpress', getenv('WORDPRESS_DB_PASSWORD') ?: '', getenv('WORDPRESS_DB_NAME') ?: 'wordpress', (int) $port);
			return $db;
		} catch (\mysqli_sql_exception $e) {
			if ($e->getMessage() !== $reported) {
				log("waiting for the database: {$e->getMessage()}");
				$reported = $e->getMessage();
			}
		}
	}
}

/**
 * Names what this image would make of a database: equal images have equal names,
 * and a change of WordPress, of the plugin or of our code gives another.
 */
function release_name(): string
{
	$plugin = plugin();
	$files = [
		WORDPRESS . '/wp-includes/version.php',
		WORDPRESS . "/wp-content/plugins/$plugin/$plugin.php",
		...our_files(\dirname(__DIR__)),
		...our_files(WORDPRESS . '/wp-content/mu-plugins'),
	];
	$hash = hash_init('sha256');
	foreach ($files as $file) {
		hash_update($hash, $file . "\0" . (is_file($file) ? file_get_contents($file) : '') . "\0");
	}
	return substr(hash_final($hash), 0, 16);
}

/** @return list<string> */
function our_files(string $folder): array
{
	$files = [];
	foreach (new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator($folder, \FilesystemIterator::SKIP_DOTS)) as $file) {
		$files[] = $file->getPathname();
	}
	sort($files);
	return $files;
}

/** Whether a release has completed its work on the database. */
function is_prepared(\mysqli $db, string $release): bool
{
	if ($db->query("show tables like 'store_release'")->num_rows === 0) {
		return false;
	}
	return $db->execute_query('select 1 from store_release where name = ?', [$release])->num_rows === 1;
}

function record_prepared(\mysqli $db, string $release): void
{
	$db->query('create table if not exists store_release (name varchar(64) primary key, prepared_at timestamp not null default current_timestamp)');
	$db->execute_query('insert ignore into store_release (name) values (?)', [$release]);
}
