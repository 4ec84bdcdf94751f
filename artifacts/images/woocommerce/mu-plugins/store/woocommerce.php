<?php
/** Sets WooCommerce up without its wizard, and tells whether it sells. */

namespace Store\WooCommerce;

add_action('plugins_loaded', static function (): void {
	if (class_exists('WooCommerce')) {
		add_action('store_set_up', __NAMESPACE__ . '\set_up', 10, 2);
		add_filter('store_checks', __NAMESPACE__ . '\checks');
	}
});

/** @param array{currency: string, country: string, sampleProducts: bool} $settings */
function set_up(array $settings, bool $first): void
{
	\WC_Install::install();
	if (\WC_Install::needs_db_update()) {
		\WC_Install::run_manual_database_update();
	}
	if (!$first) {
		return;
	}
	// WooCommerce takes its own order tables into use at the first page of the admin,
	// and only while there is no order: a shop that sells before anybody has logged
	// in would keep its orders among the posts for ever.
	if (get_option('woocommerce_newly_installed') === 'yes') {
		do_action('woocommerce_newly_installed');
		update_option('woocommerce_newly_installed', 'no');
	}
	\WC_Install::create_pages();
	foreach (options($settings) as $name => $value) {
		update_option($name, $value);
	}
	delete_transient('_wc_activation_redirect');
	delete_transient('_woocommerce_activation_redirect');
	if (wp_get_theme('storefront')->exists()) {
		switch_theme('storefront');
	}
	ship_everywhere();
	if (wc_get_page_id('shop') > 0) {
		update_option('show_on_front', 'page');
		update_option('page_on_front', wc_get_page_id('shop'));
	}
	if ($settings['sampleProducts']) {
		make_product('t-shirt', 'T-Shirt', '20');
		make_product('mug', 'Mug', '9');
	}
}

/** @return array<string, mixed> what replaces the answers to WooCommerce's wizard. */
function options(array $settings): array
{
	$wizard = ['skipped' => true, 'completed' => true];
	return [
		'woocommerce_currency' => $settings['currency'],
		'woocommerce_default_country' => $settings['country'],
		'woocommerce_coming_soon' => 'no',
		'woocommerce_store_pages_only' => 'no',
		'woocommerce_private_link' => 'no',
		'woocommerce_onboarding_profile' => $wizard,
		'woocommerce_task_list_hidden' => 'yes',
		'woocommerce_task_list_complete' => 'yes',
		'woocommerce_extended_task_list_hidden' => 'yes',
		'woocommerce_admin_install_timestamp' => time(),
		'woocommerce_allow_tracking' => 'no',
		'woocommerce_show_marketplace_suggestions' => 'no',
		'woocommerce_enable_guest_checkout' => 'yes',
		'woocommerce_cod_settings' => [
			'enabled' => 'yes',
			'title' => 'Cash on delivery',
			'description' => 'Pay with cash upon delivery.',
			'instructions' => 'Pay with cash upon delivery.',
			'enable_for_methods' => [],
			'enable_for_virtual' => 'yes',
		],
	];
}

/** A flat rate for all places that no zone of the owner's covers. */
function ship_everywhere(): void
{
	$rest = new \WC_Shipping_Zone(0);
	if (\WC_Shipping_Zones::get_zones() || $rest->get_shipping_methods()) {
		return;
	}
	$id = $rest->add_shipping_method('flat_rate');
	update_option("woocommerce_flat_rate_{$id}_settings", ['title' => 'Flat rate', 'tax_status' => 'taxable', 'cost' => '5']);
}

function make_product(string $sku, string $name, string $price): void
{
	if (wc_get_product_id_by_sku($sku)) {
		return;
	}
	$product = new \WC_Product_Simple();
	$product->set_sku($sku);
	$product->set_name($name);
	$product->set_regular_price($price);
	$product->set_status('publish');
	$product->save();
}

/** @param array<string, callable> $checks */
function checks(array $checks): array
{
	return $checks + [
		'checkout' => static function (): void {
			if (get_option('woocommerce_coming_soon') === 'yes') {
				throw new \RuntimeException('the shop is hidden behind a "coming soon" page');
			}
			foreach (['shop', 'cart', 'checkout'] as $page) {
				if (get_post_status(wc_get_page_id($page)) !== 'publish') {
					throw new \RuntimeException("the shop has no $page page");
				}
			}
		},
		'product' => static function (): void {
			// Asked as a shopper's browser does.
			$response = rest_do_request(new \WP_REST_Request('GET', '/wc/store/v1/products'));
			if ($response->is_error()) {
				throw new \RuntimeException("the Store API answers {$response->get_status()}");
			}
			if (!array_filter($response->get_data(), static fn ($product) => ((array) $product)['is_purchasable'] ?? false)) {
				throw new \RuntimeException('no published product can be bought');
			}
		},
		'payment' => static function (): void {
			if (!array_filter(WC()->payment_gateways()->payment_gateways(), static fn ($gateway) => $gateway->enabled === 'yes')) {
				throw new \RuntimeException('no way to pay is enabled');
			}
		},
		'shipping' => static function (): void {
			if (wc_shipping_enabled() && wc_get_shipping_method_count(true) === 0) {
				throw new \RuntimeException('no shipping zone has a way to ship');
			}
		},
	];
}
