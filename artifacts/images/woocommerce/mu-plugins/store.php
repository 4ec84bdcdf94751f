<?php
/**
 * Plugin Name: Store
 * Description: Says whether the shop sells, and shows its name as it was written.
 */

namespace Store;

require __DIR__ . '/store/readiness.php';
require __DIR__ . '/store/title.php';
require __DIR__ . '/store/woocommerce.php';
