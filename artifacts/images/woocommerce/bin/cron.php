<?php
/** Asks the shop to do its timed work: php cron.php --connect=http://storefront:80 */

namespace Store;

require __DIR__ . '/../lib/http.php';

$flags = getopt('', ['connect:']);
$url = (string) getenv('STORE_URL');
$answer = (new Shop($url, $flags['connect'] ?? $url, 200))->request('POST', '/wp-cron.php?doing_wp_cron', [], '');
if ($answer['status'] !== 200) {
	fwrite(STDERR, "cron: the shop answers {$answer['status']}\n");
	exit(1);
}
