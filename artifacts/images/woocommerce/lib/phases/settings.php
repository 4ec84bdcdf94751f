<?php
/** What the platform owns in a shop that is set up: its title. */

namespace Store;

require __DIR__ . '/../database.php';
require __DIR__ . '/../wordpress.php';

// Follows a change of the title, unless the owner has changed it in the admin.
$title = (string) getenv('STORE_TITLE');
$applied = get_option('store_applied_title');
if ($applied === false || ($applied !== $title && get_option('blogname') === stored_title($applied))) {
	update_option('blogname', stored_title($title));
}
update_option('store_applied_title', $title, false);

/**
 * The title as WordPress keeps it: as HTML. It escapes by itself, but leaves alone
 * what looks escaped already, such as the title "&amp;".
 */
function stored_title(string $title): string
{
	return htmlspecialchars($title, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}
