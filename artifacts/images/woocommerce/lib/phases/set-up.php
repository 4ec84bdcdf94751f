<?php
/**
 * The shop, by its plugin: WooCommerce is set up by mu-plugins/store/woocommerce.php,
 * another plugin sets itself up at the same action.
 */

namespace Store;

require __DIR__ . '/../database.php';
require __DIR__ . '/../wordpress.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';

wp_set_current_user((int) get_option('store_owner'));
if (!is_file(WP_PLUGIN_DIR . '/' . plugin() . '/' . plugin() . '.php')) {
	// The site runs, and says what it lacks at /ready.
	log('there is no plugin ' . plugin() . ': the shop cannot sell');
	exit(0);
}
$first = get_option('store_set_up') === false;
if ($first) {
	do_action('activate_' . plugin() . '/' . plugin() . '.php', false);
}
if (!has_action('store_set_up')) {
	throw new \RuntimeException('plugin ' . plugin() . ' did not load, or does not know how to set up a shop');
}
/**
 * Sets the shop up. May come again: $first is true until one run has completed,
 * and what the owner can change is written only then.
 */
do_action('store_set_up', settings(), $first);
flush_rewrite_rules(false);
if ($first) {
	update_option('store_set_up', gmdate('c'), true);
}

/** @return array{currency: string, country: string, sampleProducts: bool} */
function settings(): array
{
	return [
		'currency' => strtoupper(getenv('STORE_CURRENCY') ?: 'EUR'),
		'country' => strtoupper(getenv('STORE_COUNTRY') ?: 'DE'),
		'sampleProducts' => getenv('STORE_SAMPLE_PRODUCTS') !== 'false',
	];
}
