<?php
/**
 * WordPress beautifies texts: it curls quotes, joins dashes, draws smilies and runs
 * shortcodes. The shop's name is none of these: it is shown as it was written.
 */

namespace Store;

add_action('init', static function (): void {
	foreach (['bloginfo', 'document_title', 'wp_title'] as $filter) {
		remove_filter($filter, 'wptexturize');
		remove_filter($filter, 'convert_chars');
		remove_filter($filter, 'capital_P_dangit', 11);
	}
});

// Block themes beautify the whole page. What is written as numbers they leave alone.
add_filter('render_block_core/site-title', static function (string $html): string {
	return preg_replace_callback('/>([^<]+)</', static function (array $text): string {
		$plain = html_entity_decode($text[1], ENT_QUOTES | ENT_HTML5, 'UTF-8');
		return '>' . mb_encode_numericentity($plain, [0x21, 0x10ffff, 0, 0x1fffff], 'UTF-8') . '<';
	}, $html);
});

add_action('wp_head', static function (): void {
	$plain = html_entity_decode(get_option('blogname'), ENT_QUOTES | ENT_HTML5, 'UTF-8');
	printf("<meta property=\"og:site_name\" content=\"%s\">\n", htmlspecialchars($plain, ENT_QUOTES, 'UTF-8'));
});
