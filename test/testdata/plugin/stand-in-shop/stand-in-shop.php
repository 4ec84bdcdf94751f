<?php
/**
 * Plugin Name: Stand-in shop
 * Description: Stands where a shop's plugin will, so that everything around it can be tested. It shows a product and sells nothing.
 * Version: 1.0.0
 */

namespace StandInShop;

add_action('init', static function (): void {
	register_post_type('stand_in_product', ['public' => true, 'label' => 'Products', 'show_in_rest' => true]);
	add_shortcode('stand_in_shop', __NAMESPACE__ . '\shop');
});
add_action('store_set_up', __NAMESPACE__ . '\set_up', 10, 2);
add_filter('store_checks', static fn (array $checks): array => $checks + ['shop' => __NAMESPACE__ . '\check_shop']);

/** @param array{currency: string, country: string, sampleProducts: bool} $settings */
function set_up(array $settings, bool $first): void
{
	if (!$first) {
		return;
	}
	update_option('stand_in_currency', $settings['currency']);
	update_option('stand_in_country', $settings['country']);
	$page = page('page', 'shop', 'Shop', '<!-- wp:shortcode -->[stand_in_shop]<!-- /wp:shortcode -->');
	update_option('show_on_front', 'page');
	update_option('page_on_front', $page);
	if ($settings['sampleProducts']) {
		page('stand_in_product', 'mug', 'Mug', 'A mug.');
	}
}

function page(string $type, string $slug, string $title, string $content): int
{
	return get_page_by_path($slug, OBJECT, $type)->ID ?? wp_insert_post([
		'post_type' => $type, 'post_name' => $slug, 'post_title' => $title, 'post_content' => $content, 'post_status' => 'publish',
	]);
}

function shop(): string
{
	$items = array_map(
		static fn (\WP_Post $product): string => '<li>' . esc_html($product->post_title) . ' ' . esc_html(get_option('stand_in_currency')) . '</li>',
		get_posts(['post_type' => 'stand_in_product', 'numberposts' => 20]),
	);
	return '<ul class="stand-in-products">' . implode('', $items) . '</ul>';
}

function check_shop(): void
{
	if (get_post_status((int) get_option('page_on_front')) !== 'publish') {
		throw new \RuntimeException('the shop has no front page');
	}
	if (get_posts(['post_type' => 'stand_in_product', 'numberposts' => 1]) === []) {
		throw new \RuntimeException('no product is published');
	}
}
