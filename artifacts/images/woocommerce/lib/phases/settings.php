<?php
/** What the platform owns in a shop that is set up: its title. */

namespace Store;

require __DIR__ . '/../database.php';
require __DIR__ . '/../wordpress.php';

// Follows a change of the title, unless the owner has changed it in the admin.
$title = (string) getenv('STORE_TITLE');
$applied = get_option('store_applied_title');
if ($applied === false || ($applied['title'] !== $title && $applied['stored'] === get_option('blogname'))) {
	update_option('blogname', as_html($title));
	update_option('store_applied_title', ['title' => $title, 'stored' => get_option('blogname')], false);
}

/**
 * The title as WordPress keeps it: as HTML. It escapes names again and again, and
 * undoes what looks escaped twice, such as the title "&#65;"; an ampersand that is
 * written as a number it leaves alone.
 */
function as_html(string $title): string
{
	return strtr($title, ['&' => '&#038;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#039;']);
}
