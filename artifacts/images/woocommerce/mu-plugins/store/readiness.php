<?php
/**
 * /ready/database answers 200 if the database answers; /ready if a shopper can buy,
 * else 503 with the reason.
 */

namespace Store;

switch (parse_url($_SERVER['REQUEST_URI'] ?? '', PHP_URL_PATH)) {
	case '/ready/database':
		// WordPress has read its options by now, or has answered 500 without them.
		answer(200, ['ready' => true]);
	case '/ready':
		add_action('wp_loaded', __NAMESPACE__ . '\answer_readiness', 100);
}

function answer_readiness(): never
{
	$plugin = getenv('STORE_PLUGIN') ?: 'woocommerce';
	/**
	 * What must hold for the shop to sell, by name. A check throws, with a reason
	 * meant for people, when it does not hold.
	 *
	 * @var array<string, callable(): void> $checks
	 */
	$checks = ['plugin' => static fn () => has_plugin($plugin)] + apply_filters('store_checks', []) + ['set-up' => is_set_up(...)];
	foreach ($checks as $name => $check) {
		try {
			$check();
		} catch (\Throwable $e) {
			answer(503, ['ready' => false, 'reason' => "$name: {$e->getMessage()}"]);
		}
	}
	answer(200, ['ready' => true, 'plugin' => $plugin]);
}

function has_plugin(string $plugin): void
{
	if (!is_file(WP_PLUGIN_DIR . "/$plugin/$plugin.php")) {
		throw new \RuntimeException("the image holds no plugin $plugin, and none was given to the store");
	}
	if (!in_array("$plugin/$plugin.php", (array) get_option('active_plugins', []), true)) {
		throw new \RuntimeException("plugin $plugin is switched off");
	}
	if (!has_filter('store_checks')) {
		throw new \RuntimeException("plugin $plugin did not load");
	}
}

function is_set_up(): void
{
	if (get_option('store_set_up') === false) {
		throw new \RuntimeException('the first set-up has not completed');
	}
}

function answer(int $status, array $body): never
{
	status_header($status);
	header('Content-Type: application/json');
	header('Cache-Control: no-store');
	echo json_encode($body, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
	exit;
}
