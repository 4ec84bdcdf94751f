<?php
/**
 * WordPress' settings, all of them from the environment. Nothing here can be
 * changed in the admin, and no file of the image is written.
 */

// Installing and upgrading are done by prepare.php; the pages of WordPress that
// offer either define this before they come here.
if (PHP_SAPI !== 'cli' && defined('WP_INSTALLING')) {
	http_response_code(403);
	exit('This shop is set up already.');
}

(static function (): void {
	$required = static function (string $name): string {
		$value = getenv($name);
		if ($value === false || $value === '') {
			http_response_code(500);
			exit("$name is not set.");
		}
		return $value;
	};
	define('DB_HOST', getenv('WORDPRESS_DB_HOST') ?: 'mariadb');
	define('DB_NAME', getenv('WORDPRESS_DB_NAME') ?: 'wordpress');
	define('DB_USER', getenv('WORDPRESS_DB_USER') ?: 'wordpress');
	define('DB_PASSWORD', $required('WORDPRESS_DB_PASSWORD'));
	define('DB_CHARSET', 'utf8mb4');
	define('DB_COLLATE', '');

	$salts = $required('WORDPRESS_SALTS');
	foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
		define("{$name}_KEY", hash_hmac('sha256', "{$name}_KEY", $salts));
		define("{$name}_SALT", hash_hmac('sha256', "{$name}_SALT", $salts));
	}

	// One pod serves one shop at one address. What a request says about scheme and
	// host is overruled: no proxy can make a loop of redirects, nor can a forged
	// Host get into a link, such as that of a password's reset.
	$url = rtrim($required('STORE_URL'), '/');
	define('WP_HOME', $url);
	define('WP_SITEURL', $url);
	$parts = parse_url($url);
	$_SERVER['HTTP_HOST'] = $parts['host'] . (isset($parts['port']) ? ":{$parts['port']}" : '');
	$_SERVER['SERVER_NAME'] = $parts['host'];
	$https = $parts['scheme'] === 'https';
	$_SERVER['HTTPS'] = $https ? 'on' : '';
	$_SERVER['SERVER_PORT'] = (string) ($parts['port'] ?? ($https ? 443 : 80));
	define('FORCE_SSL_ADMIN', $https);

	// WordPress asks wordpress.org in the middle of pages, and waits.
	define('WP_HTTP_BLOCK_EXTERNAL', getenv('STORE_ALLOW_EXTERNAL') !== 'true');
})();

$table_prefix = 'wp_';

define('WP_DEBUG', false);
define('DISALLOW_FILE_MODS', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true); // a CronJob calls wp-cron.php
define('WP_MEMORY_LIMIT', '256M');
define('FS_METHOD', 'direct');

if (!defined('ABSPATH')) {
	define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
